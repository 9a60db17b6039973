"""The queue in this process's memory: for tests, and for trying things out.

Durability: none; it lives as long as the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from uuid import uuid4

from shared.clock import Clock, SystemClock
from shared.errors import QueueConflictError
from shared.jobs import Delivery, Job, Priority
from shared.queue.memory.broker import MemoryBroker
from shared.queue.memory.entry import Entry
from shared.queue.message import decode_message, forgiving
from shared.queue.outcome import encode_result
from shared.queue.port import Capabilities, InboxDecoder, Published, QueueDepth, QueueSettings
from shared.renewal_thread import RenewalThread
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Settlement, Snooze
from shared.work_source import Exchange, LeaseKeeper

IDLE_LOOK_SECONDS = 1.0

_brokers: dict[str, MemoryBroker] = {}


def shared_broker(name: str) -> MemoryBroker:
    """Return this process's broker for a queue name."""
    return _brokers.setdefault(name, MemoryBroker())


class MemoryQueue:
    """One consumer of, and producer to, a broker in memory."""

    capabilities = Capabilities()

    def __init__(
        self,
        settings: QueueSettings,
        broker: MemoryBroker,
        *,
        decoder: InboxDecoder = decode_message,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._decoder = forgiving(decoder)
        self._clock = clock or SystemClock()
        self._consumer = uuid4().hex
        self._suspect = ""
        self._calls = 0
        self._due_at: float | None = None

    async def open(self, worker_kind: str, job_types: Sequence[str]) -> None:
        """See Queue.open."""
        with self._broker.lock:
            now = self._clock.wall()
            for other, alive_until in self._broker.kinds.values():
                if other != worker_kind and alive_until > now:
                    raise QueueConflictError(
                        f"queue {self._settings.name} already has {other} workers, "
                        f"and this is a {worker_kind} worker"
                    )
            self._broker.kinds[self._consumer] = (worker_kind, self._alive_until())

    async def publish(self, jobs: Sequence[Job]) -> Published:
        """See Queue.publish."""
        with self._broker.lock:
            accepted = sum(self._broker.publish(job, self._clock.wall()) for job in jobs)
        return Published(accepted, len(jobs) - accepted)

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange."""
        with self._broker.lock:
            now = self._clock.wall()
            self._calls += 1
            self._stay_alive()
            self._broker.lanes.limits = self._settings.lane_limits
            refused = [s.delivery.token for s in settled if not self._is_held(s)]
            for each in reversed(settled):  # so that what is handed back keeps its order
                self._settle(each, now)
            self._broker.bring_back(now, self._settings.max_crashes)
            deliveries = self._hand_out_up_to(0 if self._broker.queue_paused else want, now)
            due = self._broker.next_due(now, suspect_may_run=not self._suspect_runs())
        self._due_at = None if due is None else self._clock.monotonic() + due
        return Exchange(deliveries=deliveries, refused=refused, next_due_seconds=due)

    async def wait(self, timeout: float) -> None:
        """See WorkSource.wait."""
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(woken.set)

        longest = min(timeout, IDLE_LOOK_SECONDS)
        if self._due_at is not None:
            longest = min(longest, self._due_at - self._clock.monotonic())
        with self._broker.lock:
            self._broker.listeners.add(wake)
            may = not self._suspect_runs()
            if self._broker.next_due(self._clock.wall(), suspect_may_run=may) == 0.0:
                woken.set()
        try:
            async with asyncio.timeout(longest):
                await woken.wait()
        except TimeoutError:
            return
        finally:
            with self._broker.lock:
                self._broker.listeners.discard(wake)

    def lease_keeper(self) -> LeaseKeeper:
        """See WorkSource.lease_keeper."""
        return RenewalThread(self._renew, self._settings.lease_seconds, clock=self._clock)

    async def depth(self) -> QueueDepth:
        """See Queue.depth."""
        with self._broker.lock:
            return self._broker.depth(self._clock.wall())

    async def incarnation(self) -> str:
        """See Queue.incarnation."""
        return self._broker.incarnation

    async def close(self) -> None:
        """See WorkSource.close."""
        with self._broker.lock:
            self._broker.kinds.pop(self._consumer, None)

    def _is_held(self, settlement: Settlement) -> bool:
        return settlement.delivery.token in self._broker.leased

    def _settle(self, settlement: Settlement, now: float) -> None:
        entry = self._broker.release(settlement.delivery.token)
        if entry is None:
            return
        match settlement.verdict:
            case Done() | Discard() if not (entry.job and entry.job.keep_result_seconds):
                del self._broker.live[entry.key]
            case Done(result=result):
                field, content = encode_result(result)
                self._broker.finish(entry, now, "done", **{field: content})
            case Discard(reason=reason):
                error = reason.encode(errors="replace")
                self._broker.finish(entry, now, "discarded", error=error)
            case DeadLetter(reason=reason):
                entry.attempts += 1
                self._broker.bury(entry, reason, now)
            case _ if not self._broker.may_wait(entry, now):
                return
            case HandBack():
                self._broker.hand_back(entry)
            case Snooze(after=after):
                self._broker.delay(entry, now + after)
            case Retry(after=after):
                entry.attempts += 1
                self._broker.delay(entry, now + (after or 0.0))

    def _claim(self, want: int, now: float) -> list[Entry]:
        broker, claimed = self._broker, list[Entry]()
        if want > 0 and not self._suspect_runs():
            claimed.extend(broker.take(broker.suspects, 1))
        claimed.extend(broker.take(broker.ready[Priority.HIGH], want - len(claimed)))
        self._claim_lanes((want - len(claimed) + self._calls // 2 % 2) // 2, now, claimed)
        share = (want - len(claimed) + self._calls % 2) // 2
        claimed.extend(broker.take_inbox(share, now))
        claimed.extend(broker.take(broker.ready[Priority.NORMAL], want - len(claimed)))
        claimed.extend(broker.take_inbox(want - len(claimed), now))
        self._claim_lanes(want - len(claimed), now, claimed)
        claimed.extend(broker.take(broker.ready[Priority.LOW], want - len(claimed)))
        return claimed

    def _hand_out_up_to(self, want: int, now: float) -> list[Delivery]:
        deliveries: list[Delivery] = []
        while claimed := self._claim(want - len(deliveries), now):
            deliveries += [d for entry in claimed if (d := self._hand_out(entry, now))]
        return deliveries

    def _claim_lanes(self, most: int, now: float, claimed: list[Entry]) -> None:
        may = not self._suspect_runs() and not any(each.suspect for each in claimed)
        claimed.extend(self._broker.take_lanes(most, now, suspect_may_run=may))

    def _suspect_runs(self) -> bool:
        return self._suspect in self._broker.leased

    def _hand_out(self, entry: Entry, now: float) -> Delivery | None:
        try:
            job = entry.job or self._decoder(entry.raw)
        except ValueError as error:
            entry.attempts += 1
            self._broker.bury(entry, f"unreadable: {error}", now)
            return None
        if self._broker.park(entry, job.type):
            return None
        self._broker.lease(entry, now + self._settings.lease_seconds)
        if entry.suspect:
            self._suspect = entry.token
        return Delivery(
            job=entry.handed_out(job),
            token=entry.token,
            attempt=entry.attempts + 1,
            crashes=entry.crashes,
            lease_until=self._clock.monotonic() + self._settings.lease_seconds,
            age_seconds=now - entry.first_seen,
        )

    def _stay_alive(self) -> None:
        kind = self._broker.kinds.get(self._consumer)
        if kind is not None:
            self._broker.kinds[self._consumer] = (kind[0], self._alive_until())

    def _alive_until(self) -> float:
        return self._clock.wall() + max(self._settings.lease_seconds, 10.0)

    def _renew(self, tokens: Sequence[str]) -> Collection[str]:
        with self._broker.lock:
            until = self._clock.wall() + self._settings.lease_seconds
            self._stay_alive()
            for token in tokens:
                if token in self._broker.leased:
                    self._broker.leased[token].lease_until = until
            return [token for token in tokens if token not in self._broker.leased]
