"""One broker's campaign: publish, work, break things, and count in the end."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

import msgspec

from benchmarks.ledger import books
from benchmarks.ledger.account import Account, Fault, account
from benchmarks.ledger.fleet import Fleet
from benchmarks.ledger.servers import Broker, Server
from benchmarks.ledger.settings import MAX_CRASHES, queue_settings
from shared.embedded.server_process import free_port
from shared.errors import ConnectionLostError
from shared.queue.administration import QueueAdmin
from shared.queue.factory import create_queue, create_queue_admin
from tests.faults.processes import Children
from tests.faults.proxy import Proxy

QUEUE = "ledger:jobs"
WORKERS = 3
PUBLISHERS = 2
STALLED_SECONDS = 60.0
PAUSE_AT, RESTART_AT, CUT_AT = 0.1, 0.35, 0.6
"""Shares of the jobs after which these faults come; kills are spread over all of the campaign."""
_POLL_SECONDS = 0.01


class StalledError(Exception):
    """Nothing is executed any more, though work is left."""


class Report(msgspec.Struct, frozen=True):
    """The account of a campaign, and what was done to the broker and its workers."""

    account: Account
    faults: Counter[str]
    death_reasons: Mapping[str, int]
    seconds: float


class Campaign:
    """Goes on until both the jobs and the kills are reached."""

    def __init__(self, broker: Broker, directory: Path, jobs: int, kills: int) -> None:
        self._broker = broker
        self._books = directory / "books"
        self._books.mkdir()
        self._proxy_port = free_port()
        self._server: Server = broker.make(directory / "server", self._proxy_port)
        self._jobs = jobs
        self._kills = kills
        self._faults: list[Fault] = []

    async def run(self) -> Report:
        """Return the report. Raises StalledError with the figures so far."""
        self._server.start()
        started = time.monotonic()
        try:
            upstream = self._broker.behind_proxy(self._server)
            async with Proxy(upstream, port=self._proxy_port) as proxy:
                with Children() as children:
                    await self._publish_work_and_break(children, proxy)
                dead, reasons = await self._dead_letters()
        finally:
            self._server.kill()
        self._keep(dead)
        found = account(
            self._books,
            dead,
            self._faults,
            in_flight=self._broker.in_flight,
            max_crashes=MAX_CRASHES,
            on_its_way=self._broker.on_its_way,
        )
        return Report(
            found,
            Counter(fault.kind for fault in self._faults),
            reasons,
            time.monotonic() - started,
        )

    def _keep(self, dead: Collection[int]) -> None:
        """Write down what else an account is made of, for whoever looks into one."""
        for name, what in ("faults", self._faults), ("dead", sorted(dead)):
            (self._books.parent / f"{name}.json").write_bytes(msgspec.json.encode(what))

    async def _publish_work_and_break(self, children: Children, proxy: Proxy) -> None:
        urls = self._server.url, proxy.url
        fleet = Fleet(children, self._books, QUEUE, urls, WORKERS)
        self._faults = fleet.faults
        publishers = [
            children.start(
                [sys.executable, "-m", "benchmarks.ledger.publisher", url, QUEUE,
                 str(self._books), str(first), str(PUBLISHERS)],
                log=self._books / "log",
            )
            for first, url in zip(range(PUBLISHERS), urls, strict=True)
        ]  # fmt: skip
        await self._break_things(fleet, proxy)
        for publisher in publishers:
            await asyncio.to_thread(publisher.terminate)
        await self._until(self._is_empty)
        await asyncio.to_thread(fleet.stop)

    async def _break_things(self, fleet: Fleet, proxy: Proxy) -> None:
        pausing = set[asyncio.Task[None]]()

        async def pause() -> None:
            pausing.add(asyncio.create_task(fleet.pause_past_the_lease()))

        async def restart() -> None:
            self._restart(fleet)

        async def cut() -> None:
            await self._cut(fleet, proxy)

        kills = [((n + 1) / (self._kills + 1), fleet.kill_one) for n in range(self._kills)]
        others: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (PAUSE_AT, pause), (RESTART_AT, restart), (CUT_AT, cut),
        ]  # fmt: skip
        for share, do in sorted([*kills, *others], key=lambda each: each[0]):
            await self._until_executed(share * self._jobs)
            await do()
        await self._until_executed(self._jobs)
        await asyncio.gather(*pausing)

    def _restart(self, fleet: Fleet) -> None:
        """Crash the server; blocking, for it has to be started from the main thread."""
        unwritten_ns = int(self._broker.unwritten_seconds * 1e9)
        self._faults.append(Fault("restart", time.monotonic_ns(), fleet.names, unwritten_ns))
        self._server.kill()
        self._server.start()

    async def _cut(self, fleet: Fleet, proxy: Proxy) -> None:
        """Break a connection between a request and its answer, then all behind the proxy."""
        cut = asyncio.Event()

        def drop(_request: bytes, _answer: bytes) -> bool:
            first = not cut.is_set()
            cut.set()
            return first

        proxy.drop_answer = drop
        await asyncio.wait_for(cut.wait(), STALLED_SECONDS)
        await proxy.reset()
        self._faults.append(Fault("cut", time.monotonic_ns(), [fleet.proxied]))

    async def _until_executed(self, jobs: float) -> None:
        async def reached() -> bool:
            return books.count(self._books, "executed") >= jobs

        await self._until(reached)

    async def _until(self, reached: Callable[[], Awaitable[bool]]) -> None:
        last, since = -1, time.monotonic()
        while not await reached():
            executed = books.count(self._books, "executed")
            if executed != last:
                last, since = executed, time.monotonic()
            elif time.monotonic() - since > STALLED_SECONDS:
                raise StalledError(f"{executed} executions, and none in {STALLED_SECONDS:g} s")
            await asyncio.sleep(_POLL_SECONDS)

    async def _is_empty(self) -> bool:
        queue = create_queue(queue_settings(QUEUE), self._server.url)
        try:
            depth = await queue.depth()
        except ConnectionLostError:
            return False
        finally:
            await queue.close()
        return not (depth.inbox or depth.ready or depth.delayed or depth.leased)

    async def _dead_letters(self) -> tuple[Collection[int], Mapping[str, int]]:
        admin = create_queue_admin(queue_settings(QUEUE), self._server.url)
        try:
            return await read_dead_letters(admin)
        finally:
            await admin.close()


async def read_dead_letters(admin: QueueAdmin) -> tuple[Collection[int], Mapping[str, int]]:
    """Return the numbers that are dead, and how many letters died of what.

    A number may be in several letters: what was published again may die again.
    """
    numbers, reasons = set[int](), Counter[str]()
    while found := await admin.dead_letters(limit=1000, offset=reasons.total()):
        for each in found:
            assert each.job is not None, "a job of ours that cannot be read"
            numbers.add(msgspec.json.decode(each.job.payload)["n"])
            reasons[each.reason] += 1
    return numbers, reasons
