"""One membership in the consumer group: what is assigned, and how far each partition is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition, errors

from shared.errors import ConnectionLostError
from shared.observability.logs import get_logger
from shared.queue.kafka.address import Address
from shared.queue.kafka.assignor import NumberAssignor
from shared.queue.kafka.closing import stop
from shared.queue.kafka.faults import translated
from shared.queue.kafka.membership import Membership, commit_as, membership_of
from shared.queue.kafka.reader import Reader
from shared.queue.kafka.record import Record
from shared.queue.kafka.starting import start
from shared.queue.kafka.topics import Topics
from shared.queue.kafka.window import Window

ANSWER_SECONDS = 10.0
SETTLE_IN_SECONDS = 5.0
"""How long a call waits for a group that shares out its partitions anew."""
FETCH_WAIT_MS = 100
"""A partition whose records were all taken joins the next long poll: this is how late at most."""
_PAUSE_SECONDS = 0.05
_NEVER_MS = 2**31 - 1
_log = get_logger(__name__)


class LostPartitionsError(Exception):
    """A commit was refused: the group has a newer generation, and may have other owners."""


class Member(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Reads and commits for one consumer. `windows` has the partitions that are its own."""

    def __init__(
        self, address: Address, topics: Topics, reader: Reader, kind: str, session_seconds: float
    ) -> None:
        self.name = uuid4().hex
        self.windows: dict[TopicPartition, Window] = {}
        self.changed = asyncio.Event()
        """Set when partitions came or went."""
        self.session_seconds = session_seconds
        self.confirmed_at = 0.0
        """Monotonic reading at which the coordinator surely took this member for alive."""
        self._address = address
        self._servers = address.servers
        self._topics = topics
        self._reader = reader
        self.taken_over = 0
        """How often partitions were taken over."""
        self.stopped = False
        """It left the group for good; another membership has to be begun."""
        self._steady = False
        self._membership: Membership = (-1, "")
        """As which the present windows were taken over."""
        self._assigned: Collection[TopicPartition] | None = None
        self._shares = 0
        self._trimmed: dict[TopicPartition, int] = {}
        self._taking = asyncio.Lock()
        self._aside: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._consumer = AIOKafkaConsumer(
            **address.client(),
            client_id=f"{kind}/{self.name[:8]}",
            group_id=topics.inbox,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            partition_assignment_strategy=(NumberAssignor(),),
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=int(session_seconds * 1000),
            heartbeat_interval_ms=int(min(1000.0, session_seconds * 100)),
            max_poll_interval_ms=_NEVER_MS,  # a pool that is busy for long is alive all the same
        )

    @property
    def steady(self) -> bool:
        """Whether partitions are assigned and their progress is known."""
        return self._steady

    async def start(self) -> None:
        """Join the group; partitions come later."""
        with translated(self._servers):
            async with asyncio.timeout(ANSWER_SECONDS):
                await start(self._consumer, self._address)
        self._consumer.subscribe(self._topics.consumed, listener=self)

    async def stop(self) -> None:
        """Leave the group; others get the partitions at once."""
        self.stopped, self._steady = True, False
        self.changed.set()
        self._drop(list(self.windows))
        if self._aside is not None:
            self._aside.cancel()
            await asyncio.gather(self._aside, return_exceptions=True)
        await stop(self._consumer)

    async def settle_in(self) -> None:
        """Return once partitions are assigned and their progress is known.

        Raises ConnectionLostError when that takes too long, as while another member is slow.
        """
        try:
            async with asyncio.timeout(SETTLE_IN_SECONDS):
                while not self._steady:
                    await self._arrived.wait()
                    await self._take_over()
        except TimeoutError:
            self.check()
            raise ConnectionLostError(
                f"the consumer group of Kafka at {self._servers} is still being shared out"
            ) from None

    @property
    def arrived(self) -> bool:
        """Whether an assignment is there whose progress was not read yet."""
        return self._arrived.is_set()

    async def pull(
        self, partitions: Iterable[TopicPartition], most: int, timeout: float = 0.0
    ) -> Sequence[tuple[Window, Record, int]]:
        """Read records: each with its window, and how often it crashed."""
        wanted = [tp for tp in partitions if tp in self.windows and self.windows[tp].room > 0]
        if not self._steady or not wanted or most <= 0:
            return []
        self.check()
        with translated(self._servers):
            batches = await self._consumer.getmany(
                *wanted, timeout_ms=int(timeout * 1000), max_records=most
            )
        # A share that began meanwhile reads anew from where its windows stand.
        fresh = batches if self.steady else {}
        return [
            (window, record, crashes)
            for tp, records in fresh.items()
            for window in [self.windows[tp]]
            for record in records
            if (crashes := window.read(record.offset)) is not None
        ]

    async def commit(self, *, always: bool = False) -> None:
        """Tell the group how far each partition is that changed, or that there is a member.

        Raises LostPartitionsError when the group has a newer generation.
        """
        changed = {tp: w for tp, w in self.windows.items() if w.dirty or always}
        if not changed:
            return
        asked = time.monotonic()
        progress = {tp: (w.base, w.progress(self.name)) for tp, w in changed.items()}
        for window in changed.values():
            window.dirty = False
        try:
            await self._commit(progress)
        except BaseException:
            for window in changed.values():
                window.dirty = True
            raise
        self.confirmed_at = asked

    async def _commit(self, progress: dict[TopicPartition, tuple[int, str]]) -> None:
        share = self._shares
        with translated(self._servers):
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await commit_as(self._consumer, self._membership, progress)
            except (errors.CommitFailedError, errors.IllegalStateError) as error:
                if share == self._shares:
                    self._steady = False
                    self._arrived.clear()
                raise LostPartitionsError from error

    async def trim(self) -> None:
        """Let go of what is done, in the topics that are this queue's alone.

        They are kept without a limit of time, so that no job is dropped before it has run.
        """
        done = {
            tp: window.base
            for tp, window in self.windows.items()
            if tp.topic != self._topics.inbox and window.base > self._trimmed.get(tp, 0)
        }
        if self._steady and done:
            await self._reader.trim(done)
            self._trimmed.update(done)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Say what is done; what runs is not said to run, since to lose it is no crash."""
        self._steady = False
        self._arrived.clear()
        self.changed.set()
        progress = {
            tp: (window.base, window.progress(self.name, keep_running=False))
            for tp, window in self.windows.items()
            if tp in revoked
        }
        for window in self.windows.values():
            window.dirty = True
        if progress:
            try:
                await self._commit(progress)
            except (LostPartitionsError, ConnectionLostError) as error:
                _log.warning("progress_not_committed", partitions=len(progress), error=repr(error))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Note what is assigned; its progress is read aside, since the group does not wait."""
        self._shares += 1
        self._assigned = assigned
        self._arrived.set()
        self.changed.set()
        self._aside = asyncio.create_task(self._settle_aside())

    async def _settle_aside(self) -> None:
        """Say again what runs here, also when no call comes for long, so that a crash counts."""
        try:
            await self.settle_in()
            await self.commit()
        except (LostPartitionsError, ConnectionLostError):
            return  # the next share, or the next call, sees to it

    async def _take_over(self) -> None:
        async with self._taking:
            if not self._steady:
                await self._take_assigned()

    async def _take_assigned(self) -> None:
        """Keep the partitions that nobody else had meanwhile; take the others as they stand."""
        if not all(map(self._consumer.partitions_for_topic, self._topics.consumed)):
            # Topics that were just made were shared out before all of us had heard of them; when
            # they are heard of, the group shares out anew.
            await self._consumer._client.force_metadata_update()
            await asyncio.sleep(_PAUSE_SECONDS)
            return
        assigned = self._assigned
        assert assigned is not None
        standing = await self._reader.committed(assigned)
        if assigned is not self._assigned or not self._arrived.is_set():
            return
        self._drop([
            tp for tp in self.windows
            if tp not in standing or standing[tp][1].owner != self.name
        ])  # fmt: skip
        for tp, (offset, progress) in standing.items():
            window = self.windows.setdefault(tp, Window(offset, progress.states))
            self._consumer.seek(tp, window.next)
        self._membership = membership_of(self._consumer)
        self._steady = True
        self.taken_over += 1

    def _drop(self, partitions: Iterable[TopicPartition]) -> None:
        for tp in partitions:
            self.windows.pop(tp).lost = True

    def check(self) -> None:
        """Raise what the background work failed with, if it did.

        When that work has ended, so has this membership.
        """
        client = self._consumer
        work = client._coordinator._coordination_task, client._fetcher.error_future
        self.stopped |= any(task.done() for task in work)
        with translated(self._servers):
            client._coordinator.check_errors()
        if self.stopped:
            raise ConnectionLostError(f"this membership of Kafka at {self._servers} has ended")
