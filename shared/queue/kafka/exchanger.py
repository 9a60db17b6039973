"""One consumer's dialogue with Kafka: settle, read, and say what is handed out, in this order."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from itertools import count

from shared.clock import Clock
from shared.errors import ConnectionLostError, DependencyError
from shared.jobs import Delivery
from shared.observability.logs import get_logger
from shared.queue.kafka.member import LostPartitionsError, Member
from shared.queue.kafka.outbound import dead_letter, left_behind, put_off
from shared.queue.kafka.publisher import Publisher
from shared.queue.kafka.record import Outgoing, job_of, read_stored
from shared.queue.kafka.shelf import SUSPECT_CRASHES, Shelf, Waiting
from shared.queue.kafka.topics import Topics
from shared.queue.port import InboxDecoder, QueueSettings
from shared.verdicts import Discard, Done, HandBack, Settlement
from shared.work_source import Exchange

MOST_PER_CALL = 1000
TRIM_SECONDS = 30.0
"""How often records of jobs that are done are deleted."""
_READ_AHEAD = 500
_log = get_logger(__name__)


class Exchanger:
    """Settles and claims for one member of the group."""

    def __init__(
        self,
        member: Member,
        publisher: Publisher,
        topics: Topics,
        settings: QueueSettings,
        decoder: InboxDecoder,
        clock: Clock,
        origin: str,
    ) -> None:
        self.member = member
        self._publisher = publisher
        self._topics = topics
        self._settings = settings
        self._decoder = decoder
        self._clock = clock
        self._origin = origin
        self._turn = asyncio.Lock()
        self._shelf = Shelf(topics.inbox)
        self._held: dict[str, Waiting] = {}
        self._accepted: dict[str, Waiting] = {}
        """Settled by a call that did not come to its end: when it is repeated they are known."""
        self._suspect = ""
        self._seen = 0
        self._trimmed_at = clock.monotonic()
        self._serial = count()

    def lost_among(self, tokens: Collection[str]) -> Collection[str]:
        """Return the tokens whose partitions went to others. May be called from any thread."""
        held = self._held.copy()
        return [t for t in tokens if t not in held or held[t].window.lost]

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange."""
        async with self._turn:
            if not self.member.steady:
                if not settled and not self.member.arrived:
                    self.member.check()
                    return Exchange()
                await self.member.settle_in()
            self._forget_lost()
            await self._settle(settled)
            await self._read(want)
            claimed = await self._claim(min(want, MOST_PER_CALL))
            try:
                await self._commit()
            except BaseException:
                for token, waiting in reversed(claimed):
                    self._give_back(token, waiting)
                raise
            refused = self._concluded(settled)
            await self._trim()
            due = self._shelf.next_due(self._clock.wall(), suspect=not self._suspect_is_held())
        deliveries = [self._delivery(t, w) for t, w in claimed if not w.window.lost]
        return Exchange(deliveries=deliveries, refused=refused, next_due_seconds=due)

    async def wait(self, timeout: float) -> None:
        """See WorkSource.wait: reads what comes, and hands out nothing."""
        member = self.member
        member.changed.clear()
        due = self._shelf.next_due(self._clock.wall(), suspect=not self._suspect_is_held())
        longest = timeout if due is None else min(timeout, due)
        if longest <= 0 or (member.arrived and not member.steady):
            return
        reading = asyncio.create_task(self._read_ahead(longest))
        changing = asyncio.create_task(member.changed.wait())
        try:
            await asyncio.wait(
                [reading, changing], timeout=longest, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            reading.cancel()
            changing.cancel()
            outcomes = await asyncio.gather(reading, changing, return_exceptions=True)
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]

    async def leave(self) -> None:
        """Say that nothing runs here any more, and leave the group."""
        for token, waiting in list(self._held.items()):
            self._give_back(token, waiting)
        try:
            if self.member.steady:
                await self.member.commit()
        except (LostPartitionsError, ConnectionLostError):
            return  # what ran here counts as crashed, once
        finally:
            await self.member.stop()

    async def _settle_in(self) -> None:
        await self.member.settle_in()
        self._forget_lost()

    def _forget_lost(self) -> None:
        if self._seen == self.member.taken_over:
            return
        self._seen = self.member.taken_over
        self._shelf.clear_lost()
        self._held = {t: w for t, w in self._held.items() if not w.window.lost}
        self._accepted = {t: w for t, w in self._accepted.items() if not w.window.lost}

    async def _settle(self, settled: Sequence[Settlement]) -> None:
        ours = [(each, self._held[each.delivery.token]) for each in settled
                if each.delivery.token in self._held]  # fmt: skip
        if any(not isinstance(each.verdict, Done | Discard | HandBack) for each, _ in ours):
            await self._make_sure_of_leases()
            ours = [each for each in ours if not each[1].window.lost]
            now = self._clock.wall()
            behind = [left_behind(s.verdict, w, self._topics, now) for s, w in ours]
            await self._publisher.send([each for each in behind if each])
        for each, waiting in reversed(ours):  # so that what is handed back keeps its order
            token = each.delivery.token
            if waiting.window.lost or token not in self._held:
                continue
            self._accepted[token] = waiting
            if isinstance(each.verdict, HandBack):
                self._give_back(token, waiting)
            else:
                del self._held[token]
                waiting.window.finish(waiting.record.offset)

    async def _make_sure_of_leases(self) -> None:
        """What is published cannot be taken back: a worker that slept asks the group first."""
        member = self.member
        if self._clock.monotonic() - member.confirmed_at < member.session_seconds / 2:
            return
        try:
            await member.commit(always=True)
        except LostPartitionsError:
            await self._settle_in()

    async def _read(self, want: int) -> None:
        jobs, inbox = self._shelf.short_of(min(want, MOST_PER_CALL))
        topics = self._topics
        await self._pull([topics.jobs], jobs)
        await self._pull([topics.inbox], inbox)
        if want:
            await self._pull(topics.retry, _READ_AHEAD)

    async def _read_ahead(self, timeout: float) -> None:
        if self.member.steady and any(each.room > 0 for each in self.member.windows.values()):
            await self._pull(self._topics.consumed, _READ_AHEAD, timeout)
        else:
            await asyncio.sleep(timeout)

    async def _pull(self, topics: Collection[str], most: int, timeout: float = 0.0) -> None:
        wanted = [tp for tp in self.member.windows if tp.topic in topics]
        for window, record, crashes in await self.member.pull(wanted, most, timeout):
            stored = read_stored(record, self._origin)
            stored.crashes += crashes
            self._shelf.put(Waiting(window, record, stored))

    async def _claim(self, want: int) -> list[tuple[str, Waiting]]:
        """Take what is to be handed out; put aside what nobody can or may run."""
        now = self._clock.wall()
        aside: list[tuple[Waiting, Outgoing]] = []
        for waiting in self._shelf.ripen(now) if want else ():
            if waiting.stored.due > now:
                aside.append((waiting, put_off(waiting.record, waiting.stored, self._topics, now)))
            else:
                waiting.stored.due = 0.0
                self._shelf.put(waiting)
        taken = self._shelf.take(want, suspect=not self._suspect_is_held())
        claimed = []
        for waiting in taken:
            reason = self._unfit(waiting)
            if reason:
                attempts = waiting.stored.attempts + (waiting.job is None)
                letter = dead_letter(waiting, self._topics, reason, now, attempts=attempts)
                aside.append((waiting, letter))
            else:
                claimed.append(waiting)
        await self._put_aside(aside, claimed)
        return [(self._hold(waiting), waiting) for waiting in claimed]

    async def _put_aside(
        self, aside: Sequence[tuple[Waiting, Outgoing]], claimed: Sequence[Waiting]
    ) -> None:
        try:
            await self._publisher.send([outgoing for _, outgoing in aside])
        except BaseException:
            for waiting in reversed([*(waiting for waiting, _ in aside), *claimed]):
                self._shelf.put_back(waiting)
            raise
        for waiting, _ in aside:
            waiting.window.finish(waiting.record.offset)

    def _unfit(self, waiting: Waiting) -> str:
        try:
            waiting.job = job_of(waiting.stored, waiting.record.value, self._decoder)
        except ValueError as error:
            return f"unreadable: {error}"
        crashes = waiting.stored.crashes
        return f"its lease expired {crashes} times" if crashes >= self._settings.max_crashes else ""

    async def _commit(self) -> None:
        """Make known what was settled and what is handed out; only then either is true."""
        while True:
            try:
                return await self.member.commit()
            except LostPartitionsError:
                await self._settle_in()

    async def _trim(self) -> None:
        now = self._clock.monotonic()
        if now - self._trimmed_at < TRIM_SECONDS:
            return
        self._trimmed_at = now
        try:
            await self.member.trim()
        except (ConnectionLostError, DependencyError) as error:
            _log.warning("done_jobs_not_deleted", error=str(error))

    def _concluded(self, settled: Sequence[Settlement]) -> list[str]:
        refused = [each.delivery.token for each in settled
                   if each.delivery.token not in self._accepted]  # fmt: skip
        self._accepted.clear()
        return refused

    def _hold(self, waiting: Waiting) -> str:
        token = f"{self.member.name[:12]}-{next(self._serial)}"
        waiting.window.start(waiting.record.offset)
        self._held[token] = waiting
        if waiting.stored.crashes >= SUSPECT_CRASHES:
            self._suspect = token
        return token

    def _give_back(self, token: str, waiting: Waiting) -> None:
        self._held.pop(token, None)
        if not waiting.window.lost:
            waiting.window.give_back(waiting.record.offset)
            self._shelf.put_back(waiting)

    def _suspect_is_held(self) -> bool:
        return self._suspect in self._held

    def _delivery(self, token: str, waiting: Waiting) -> Delivery:
        stored = waiting.stored
        assert waiting.job is not None
        return Delivery(
            job=waiting.job,
            token=token,
            attempt=stored.attempts + 1,
            crashes=stored.crashes,
            lease_until=self.member.confirmed_at + self.member.session_seconds,
            age_seconds=max(0.0, self._clock.wall() - stored.first_seen),
        )
