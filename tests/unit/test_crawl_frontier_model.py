"""The frontier against a model, under any order of events, on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any, TypeVar

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from crawler.frontier.memory.frontier import MemoryFrontier
from crawler.frontier.port import (
    Discovered,
    FrontierSettings,
    HostReport,
    PackPolicy,
    RobotsRecord,
    Target,
)
from shared.clock import FrozenClock
from shared.jobs import Delivery
from shared.postgres.memory import MemoryDatabase
from shared.verdicts import Done, HandBack, Retry, Settlement, Snooze
from tests.contracts.frontier_stage import page, target, visited

T = TypeVar("T")
DELAY = 3.0
LEASE = 20.0
HOSTS = ("a.test", "b.test")


class Held(msgspec.Struct):
    """A delivery that a worker holds."""

    delivery: Delivery
    granted: float
    started: float | None = None
    reported: bool = False


class FrontierModel(RuleBasedStateMachine):
    """Workers may start late, report late, die, hand back, and come back after they were dead."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FrozenClock()
        self.database = MemoryDatabase(self.clock)
        self.frontier = MemoryFrontier(
            FrontierSettings(
                packs={"p": PackPolicy(delay_seconds=DELAY)},
                lease_seconds=LEASE,
                grant_seconds=LEASE / 2,
            ),
            clock=self.clock,
        )
        self.starts: dict[str, list[float]] = {host: [] for host in HOSTS}
        self.out: dict[str, list[Held]] = {host: [] for host in HOSTS}
        self.blocked: dict[str, float] = dict.fromkeys(HOSTS, 0.0)
        self.known: set[str] = set()
        self.epochs: dict[str, int] = {}
        self.accepted: set[tuple[str, int]] = set()
        for host in HOSTS:
            for number in range(3):
                self.discover(number, host)
            self.read_robots(host, 1_000.0)

    @rule(number=st.integers(0, 5), host=st.sampled_from(HOSTS))
    def discover(self, number: int, host: str) -> None:
        found: Discovered = page(f"/{number}", host)
        added = run(self.frontier.discover([found]))
        assert added == (0 if found.url in self.known else 1)
        self.known.add(found.url)

    @rule(host=st.sampled_from(HOSTS), seconds=st.sampled_from([5.0, 1_000.0]))
    def read_robots(self, host: str, seconds: float) -> None:
        record = RobotsRecord(
            origin=f"http://{host}", verdict="allow_all", expires_in_seconds=seconds
        )
        run(self.frontier.put_robots(record))

    @rule(target=held, want=st.integers(1, 3))
    def claim(self, want: int) -> Any:
        now = self.clock.monotonic()
        taken = run(self.frontier.exchange([], want)).deliveries
        assert len(taken) <= want
        held = []
        for delivery in taken:
            at = target(delivery)
            living = [h for h in self.out[at.host] if h.granted + LEASE > now and not h.reported]
            assert not living, "two requests to one host at a time"
            assert now >= self.blocked[at.host], "a blocked host was asked"
            fresh = run(self.frontier.robots(at.origin)) is not None
            assert fresh is (at.kind != "robots"), "robots.txt comes first, and only then"
            assert at.epoch > self.epochs.get(at.url_key, 0) or self.was_handed_back(at)
            self.epochs[at.url_key] = at.epoch
            held.append(Held(delivery, now))
            self.out[at.host].append(held[-1])
        return multiple(*held)

    def was_handed_back(self, at: Target) -> bool:
        return (at.url_key, at.epoch) not in self.accepted

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.9, 3.0, 9.9, 10.0, 19.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(held=consumes(held), pause=st.sampled_from([0.0, 0.5, 2.9]))
    def work(self, held: Held, pause: float) -> None:
        """Do all that a good worker does, a pause after the request's start."""
        self.start(held)
        self.clock.advance(pause)
        self.report(held, 0.0)
        self.commit(held, 0.0)

    @rule(held=held)
    def start(self, held: Held) -> None:
        """Send the request, if the grant still holds."""
        now = self.clock.monotonic()
        if held.started is None and not held.reported and now < target(held.delivery).use_by:
            held.started = now
            self.starts[target(held.delivery).host].append(now)

    @rule(held=held, block=st.sampled_from([0.0, 0.0, 7.0, 40.0]))
    def report(self, held: Held, block: float) -> None:
        now, host = self.clock.monotonic(), target(held.delivery).host
        since = -1.0 if held.started is None else now - held.started
        report = HostReport(
            token=held.delivery.token, host=host, since_start_seconds=since, block_seconds=block
        )
        run(self.frontier.release([report]))
        held.reported = True
        self.blocked[host] = max(self.blocked[host], now + block)

    @rule(held=consumes(held), due=st.sampled_from([None, 0.0, 30.0]))
    def commit(self, held: Held, due: float | None) -> None:
        at = target(held.delivery)
        newest = self.epochs[at.url_key] == at.epoch
        lost = held.granted + LEASE <= self.clock.monotonic()
        accepted = run(self.write(held, due))
        if not newest:
            assert not accepted, "an old worker wrote over a newer one"
        if newest and not lost:
            assert accepted
        if accepted:
            self.accepted.add((at.url_key, at.epoch))
        self.settle(held, Done())

    async def write(self, held: Held, due: float | None) -> bool:
        async with self.database.transaction() as tx:
            visit = visited(held.delivery, next_due_seconds=due)
            return bool(await self.frontier.commit(tx, [visit]))

    @rule(
        held=consumes(held),
        verdict=st.sampled_from([HandBack(), Retry("planted", 0.0), Snooze(5.0)]),
    )
    def give_up(self, held: Held, verdict: Any) -> None:
        self.settle(held, verdict)

    @rule(held=consumes(held))
    def die(self, held: Held) -> None:
        """Nothing more is heard of this worker."""

    def settle(self, held: Held, verdict: Any) -> None:
        settlement = Settlement(held.delivery, verdict)
        refused = run(self.frontier.exchange([settlement], 0)).refused
        if held.granted + LEASE > self.clock.monotonic():
            assert refused == []
        held.reported = True

    @invariant()
    def starts_are_apart(self) -> None:
        for starts in self.starts.values():
            for earlier, later in pairwise(starts):
                assert later - earlier >= DELAY

    def teardown(self) -> None:
        """No URL is lost: once all workers are dead, everything that is due comes again."""
        for host in HOSTS:
            self.read_robots(host, 100_000.0)
        waiting = {url for url in self.known if (record := self.record(url)) and record is not None}
        seen: set[str] = set()
        for _ in range(200):
            self.clock.advance(LEASE + 1_000)
            for delivery in run(self.frontier.exchange([], 10)).deliveries:
                seen.add(target(delivery).url)
                run(self.write(Held(delivery, 0.0), None))
                run(self.frontier.exchange([Settlement(delivery, Done())], 0))
        assert waiting <= seen

    def record(self, url: str) -> Any:
        """Return the record of a URL that is due some day."""
        host, number = url.removeprefix("http://").split("/")
        record = run(self.frontier.page(page(f"/{number}", host).url_key))
        assert record is not None
        return record if record.next_due_at is not None else None


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return _loop.run_until_complete(coroutine)


_loop = asyncio.new_event_loop()

FrontierModel.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestFrontierModel = FrontierModel.TestCase


def teardown_module() -> None:
    _loop.close()
