"""Takes work from one source and runs it in slots, until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from shared.clock import Clock, SystemClock
from shared.jobs import Delivery
from shared.observability.logs import get_logger
from shared.pool.calling import Calling
from shared.pool.claim_size import MAX_BATCH, ClaimSize
from shared.pool.conversation import Conversation
from shared.pool.intake import SUSPECT_CRASHES, Quarantine, unknown_type
from shared.pool.judge import Judge
from shared.pool.lane import Lane
from shared.pool.ledger import Ledger
from shared.pool.metrics import PoolMetrics
from shared.pool.middleware import Middleware
from shared.pool.processor import AnyProcessor
from shared.pool.settings import PoolSettings
from shared.pool.slots import Slots
from shared.pool.threads import Threads
from shared.verdicts import HandBack
from shared.work_source import Exchange, WorkSource

__all__ = ["PoolMetrics", "PoolSettings", "WorkerPool"]

log = get_logger(__name__)


class WorkerPool:
    """One conversation with a work source, and the slots that do its work."""

    def __init__(
        self,
        source: WorkSource,
        processors: Sequence[AnyProcessor],
        *,
        settings: PoolSettings,
        metrics: PoolMetrics,
        middleware: Sequence[Middleware] = (),
        clock: Clock | None = None,
    ) -> None:
        """`middleware` surrounds every processor, the first outermost."""
        self._source = source
        self._settings = settings
        self._metrics = metrics
        self._clock = clock or SystemClock()
        self._wake = asyncio.Event()
        self._ledger = Ledger(self._wake.set)
        self._slots = Slots(settings.workers, metrics.slots_busy, self._slot_freed)
        judge = self._judge = Judge(self._ledger, metrics, [p.job_type for p in processors])
        threads = self._threads = Threads(settings.workers)
        self._lanes = {
            p.job_type: Lane(
                p,
                Calling(p, middleware, threads, judge),
                settings,
                self._slots,
                self._ledger,
                judge,
                self._clock,
            )
            for p in processors
        }
        self._slot_holds = min(lane.gathering.size for lane in self._lanes.values())
        self._claim_size = ClaimSize(settings.workers, self._slot_holds)
        self._quarantine = Quarantine(self._ledger)
        self._talk = Conversation(source, self._wake, settings.idle_seconds, self._clock)
        self._ahead: tuple[asyncio.Task[Exchange], int] | None = None
        self._ticking: asyncio.TimerHandle | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then hand back, drain, cancel, settle, return.

        Raises what the work source raises, except ConnectionLostError: that call is repeated
        while the jobs go on, and raised only when the source stays away to the end of a stop.
        """
        keeper = self._source.lease_keeper()
        keeper.start(self._ledger.held, self._lost_by(asyncio.get_running_loop()))
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(self._begin_to_stop)
        self._metrics.slots.add(self._settings.workers)
        self._tick()
        try:
            while not stop.is_set():
                await self._cycle()
            await self._shut_down()
        finally:
            self._metrics.slots.add(-self._settings.workers)
            await self._let_go(stopping)
            await asyncio.to_thread(keeper.stop)

    async def _cycle(self, *, claim: bool = True) -> None:
        self._wake.clear()
        self._start_ready()
        answer, want = await self._ask(claim=claim)
        found = len(answer.deliveries)
        if found and found == want:  # there is more
            await self._ask_ahead(found)
            self._take_in(answer)
            return
        self._take_in(answer)
        await asyncio.sleep(0)  # what was just started may finish right here
        if self._ledger.unsent:
            return
        if not claim:
            await self._talk.pause(self._settings.sweep_seconds)
        elif want and self._capacity():
            await self._talk.wait_for_work(answer.next_due_seconds)
        else:
            await self._talk.pause(self._settings.idle_seconds)

    async def _ask(self, *, claim: bool) -> tuple[Exchange, int]:
        """Exchange, or get the answer of the call that is ahead; return also what was wanted."""
        if self._ahead is not None:
            (call, want), self._ahead = self._ahead, None
            answer = await call
        else:
            settled = self._ledger.outgoing(MAX_BATCH)
            want = self._claim_size.within(self._capacity()) if claim else 0
            answer = await self._talk.exchange(settled, want) if settled or want else Exchange()
        self._metrics.exchanged_at.set(self._clock.monotonic())
        return answer, want

    async def _ask_ahead(self, found: int) -> None:
        """Send the next call before what was found is read: the source works meanwhile."""
        want = self._claim_size.within(self._capacity() - found)
        if want > 0:
            settled = self._ledger.outgoing(MAX_BATCH)
            self._ahead = asyncio.create_task(self._talk.exchange(settled, want)), want
            for _ in range(2):  # one round of the loop for the call to begin, one to be written
                await asyncio.sleep(0)

    def _capacity(self) -> int:
        if self._quarantine.occupied:
            return 0
        waiting = sum(len(lane.gathering) for lane in self._lanes.values())
        return min(MAX_BATCH, max(0, self._slots.free * self._slot_holds - waiting))

    def _take_in(self, answer: Exchange) -> None:
        self._metrics.refused.add(len(answer.refused))
        lanes, now = self._lanes, self._clock.monotonic()
        for delivery in answer.deliveries:
            lane = lanes.get(delivery.job.type)
            if lane is None:
                self._turn_away(delivery)
            elif delivery.crashes >= SUSPECT_CRASHES:
                self._suspect(delivery)
            else:
                lane.accept(delivery, now)
        if answer.deliveries:
            self._claim_size.learn(answer.deliveries)
            self._start_ready()

    def _turn_away(self, delivery: Delivery) -> None:
        self._ledger.hold(delivery, self._clock.monotonic() + self._settings.settle_seconds)
        patience = self._settings.unknown_type_patience_seconds
        self._judge.unstarted(delivery, unknown_type(delivery, patience))

    def _suspect(self, delivery: Delivery) -> None:
        longest = max(lane.lease_span for lane in self._lanes.values())
        self._ledger.hold(delivery, self._clock.monotonic() + longest)
        refusal = self._quarantine.admit(delivery)
        if refusal is not None:
            self._judge.unstarted(delivery, refusal)

    def _start_ready(self) -> None:
        if not self._slots.open:
            return
        if suspect := self._quarantine.release():
            self._lanes[suspect.job.type].accept(suspect, self._clock.monotonic())
        for lane in self._lanes.values():
            if lane.gathering:
                lane.start_ready()

    def _slot_freed(self) -> None:
        self._start_ready()
        self._wake.set()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticking = loop.call_later(self._settings.sweep_seconds, self._tick)
        now = self._clock.monotonic()
        for lane in self._lanes.values():
            lane.sweep(now)

    def _lost_by(self, loop: asyncio.AbstractEventLoop) -> Callable[[Collection[str]], None]:
        def tell(tokens: Collection[str]) -> None:
            loop.call_soon_threadsafe(self._lose, tokens)

        return tell

    def _lose(self, tokens: Collection[str]) -> None:
        lost = self._ledger.lose(tokens)
        if lost:
            self._metrics.leases_lost.add(lost)
            log.warning("leases_lost", count=lost)
            for lane in self._lanes.values():
                lane.drop_lost()
            self._wake.set()

    def _begin_to_stop(self, _: object) -> None:
        self._slots.close()
        settings = self._settings
        self._talk.give_up_in(settings.grace_seconds + 2 * settings.cancel_grace_seconds)
        self._wake.set()

    async def _shut_down(self) -> None:
        self._slots.close()
        if self._ahead is not None:
            self._take_in((await self._ask(claim=False))[0])
        drained = self._clock.monotonic() + self._settings.grace_seconds
        if suspect := self._quarantine.evict():
            self._judge.unstarted(suspect, HandBack())
        for lane in self._lanes.values():
            lane.hand_back_unstarted()
        await self._settle_until(drained)
        for lane in self._lanes.values():
            lane.cancel_all()
        await self._settle_until(drained + self._settings.cancel_grace_seconds)
        for lane in self._lanes.values():
            lane.hand_back_rest()
        while self._ledger.unsent:
            await self._talk.exchange(self._ledger.outgoing(MAX_BATCH), 0)

    async def _settle_until(self, deadline: float) -> None:
        while self._ledger.busy and self._clock.monotonic() < deadline:
            await self._cycle(claim=False)

    async def _let_go(self, stopping: asyncio.Task[bool]) -> None:
        self._slots.close()
        if self._ticking is not None:
            self._ticking.cancel()
        for lane in self._lanes.values():
            lane.cancel_all()
        self._threads.close()
        tasks = [stopping, self._ahead[0]] if self._ahead else [stopping]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._talk.close()
