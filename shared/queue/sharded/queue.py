"""A consumer of, and producer to, a queue that is spread over several parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import TypeVar, cast
from uuid import uuid4

from msgspec.structs import replace

from shared.errors import ConnectionLostError
from shared.jobs import Job
from shared.queue.port import Capabilities, Published, Queue, QueueDepth
from shared.queue.sharded.names import shard_of
from shared.queue.sharded.part import HeldOfPart, Part, marked, shares, unmarked
from shared.verdicts import Settlement
from shared.work_source import Exchange, LeaseKeeper

ASK_AGAIN_SECONDS = 0.25
T = TypeVar("T")


class ShardedQueue:
    """Talks to all parts at once; one that is away holds up nobody but its own jobs.

    A rate or a cap of a lane holds as on one part, since a lane lies in one. Order and priority
    hold within a part.
    """

    def __init__(self, shards: Sequence[Queue]) -> None:
        self._shards = shards
        self._parts = [Part(number, shard) for number, shard in enumerate(shards)]
        self._turn = 0
        self._own_keys = (f"{prefix}-{number}" for prefix in (uuid4().hex,) for number in count())

    @property
    def capabilities(self) -> Capabilities:
        """Those of its parts."""
        return self._shards[0].capabilities

    async def open(self, worker_kind: str, job_types: Sequence[str]) -> None:
        """See Queue.open."""
        await _all(shard.open(worker_kind, job_types) for shard in self._shards)

    async def publish(self, jobs: Sequence[Job]) -> Published:
        """See Queue.publish. A part that is away fails the call; the others' jobs are stored."""
        lots: dict[int, list[Job]] = {}
        for job in jobs:
            keyed = job if job.key else replace(job, key=next(self._own_keys))
            lots.setdefault(shard_of(keyed, len(self._shards)), []).append(keyed)
        published = await _all(self._shards[number].publish(lot) for number, lot in lots.items())
        return Published(
            sum(each.accepted for each in published), sum(each.duplicates for each in published)
        )

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange.

        A part that is away or slow is asked on while the others go on; what is for it is kept
        here until it hears. Raises ConnectionLostError when no part answers.
        """
        lots = self._sorted(settled)
        want -= sum(part.outstanding for part in self._parts)
        self._turn += 1
        wants = shares(max(want, 0), [part.last_found for part in self._parts], self._turn)
        answers = await asyncio.gather(
            *(
                part.exchange(lot, share)
                for part, lot, share in zip(self._parts, lots, wants, strict=True)
            )
        )
        lost = [answer for answer in answers if isinstance(answer, ConnectionLostError)]
        if len(lost) == len(answers):
            raise lost[0]
        heard = [answer for answer in answers if isinstance(answer, Exchange)]
        dues = [each.next_due_seconds for each in heard if each.next_due_seconds is not None]
        if len(heard) < len(answers):
            dues.append(ASK_AGAIN_SECONDS)
        return Exchange(
            deliveries=[delivery for each in heard for delivery in each.deliveries],
            refused=[token for each in heard for token in each.refused],
            next_due_seconds=min(dues, default=None),
        )

    async def wait(self, timeout: float) -> None:
        """See WorkSource.wait. Raises ConnectionLostError when every part is away."""
        waiting = {asyncio.create_task(shard.wait(timeout)) for shard in self._shards}
        everybody = list(waiting)
        try:
            while waiting:
                ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if not all(each.exception() for each in ended):
                    return
            everybody[0].result()
        finally:
            for each in everybody:
                each.cancel()
            await asyncio.gather(*everybody, return_exceptions=True)

    def lease_keeper(self) -> LeaseKeeper:
        """See WorkSource.lease_keeper."""
        return _ShardedKeeper([shard.lease_keeper() for shard in self._shards])

    async def depth(self) -> QueueDepth:
        """See Queue.depth."""
        return total_of(await _all(shard.depth() for shard in self._shards))

    async def incarnation(self) -> str:
        """See Queue.incarnation."""
        return "+".join(await _all(shard.incarnation() for shard in self._shards))

    async def close(self) -> None:
        """See WorkSource.close."""
        await _all(part.close() for part in self._parts)

    def _sorted(self, settled: Sequence[Settlement]) -> list[list[Settlement]]:
        lots: list[list[Settlement]] = [[] for _ in self._parts]
        for each in settled:
            number, token = unmarked(each.delivery.token)
            lots[number].append(Settlement(replace(each.delivery, token=token), each.verdict))
        return lots


class _ShardedKeeper:
    """The lease keepers of all parts."""

    def __init__(self, keepers: Sequence[LeaseKeeper]) -> None:
        self._keepers = keepers

    def start(self, held: Mapping[str, float], on_lost: Callable[[Collection[str]], None]) -> None:
        """See LeaseKeeper.start."""
        for number, keeper in enumerate(self._keepers):

            def lost(tokens: Collection[str], number: int = number) -> None:
                on_lost([marked(number, token) for token in tokens])

            keeper.start(HeldOfPart(held, number), lost)

    def stop(self) -> None:
        """See LeaseKeeper.stop."""
        for keeper in self._keepers:
            keeper.stop()


def total_of(depths: Sequence[QueueDepth]) -> QueueDepth:
    """Add up what waits in the parts."""
    ages = [each.oldest_ready_age_seconds for each in depths]
    return QueueDepth(
        inbox=sum(each.inbox for each in depths),
        ready=sum(each.ready for each in depths),
        delayed=sum(each.delayed for each in depths),
        leased=sum(each.leased for each in depths),
        dead=sum(each.dead for each in depths),
        oldest_ready_age_seconds=max((age for age in ages if age is not None), default=None),
    )


async def _all(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Await all, also after one has failed; raise what failed first."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for each in results:
        if isinstance(each, BaseException):
            raise each
    return cast("list[T]", results)
