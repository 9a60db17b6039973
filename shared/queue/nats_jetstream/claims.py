"""Claims from a queue's consumers in the order of their worth, and keeps what arrives."""

from __future__ import annotations

from nats.aio.msg import Msg

from shared.clock import Clock
from shared.queue.nats_jetstream.names import Names
from shared.queue.nats_jetstream.puller import Puller
from shared.queue.nats_jetstream.received import Received, received
from shared.queue.nats_jetstream.session import Session


class Claims:
    """Claims for one consumer. Outlives sessions: what arrived is still leased to us."""

    def __init__(self, names: Names, clock: Clock) -> None:
        self._names = names
        self._clock = clock
        self._arrived: list[tuple[Msg, float]] = []
        self._taken: list[tuple[Msg, float]] = []
        self._asked_at = 0.0
        self._unanswered = False
        self._puller: Puller | None = None
        self._turns = 0

    async def claim(self, session: Session, want: int, *, suspects: bool) -> None:
        """Ask for up to `want` messages, at most one suspect first; `take` returns them."""
        puller = await self._puller_on(session)
        left = want - len(self._arrived)
        if suspects and left == 1:  # no consumer may give more than there is room for
            left -= await self._pull(puller, {"suspects": 1})
        first = {"suspects": int(suspects and left > 1)}
        left -= await self._pull(puller, first | {"high": left - first["suspects"]})
        self._turns += 1
        share = (left + self._turns % 2) // 2
        left -= await self._pull(puller, {"inbox": share, "normal": left - share})
        for consumer in ("inbox", "normal", "low"):
            left -= await self._pull(puller, {consumer: left})

    async def claim_suspect(self, session: Session) -> None:
        """Ask for one suspect."""
        await self._pull(await self._puller_on(session), {"suspects": 1})

    def take(self) -> list[Received]:
        """Return what has arrived; it is kept until the call that takes it is `answered`."""
        arrived, self._arrived = self._arrived, []
        self._taken += arrived
        return [received(message, asked_at) for message, asked_at in arrived]

    def answered(self) -> None:
        """Forget what was taken: the caller has it."""
        self._taken = []

    def put_back(self) -> None:
        """Keep what was taken by a call that failed for the next one."""
        self._arrived, self._taken = self._taken + self._arrived, []

    async def _pull(self, puller: Puller, wants: dict[str, int]) -> int:
        if not any(want > 0 for want in wants.values()):
            return 0
        if not self._unanswered:  # what an abandoned call asked for may still arrive
            self._asked_at = self._clock.monotonic()
        self._unanswered = True
        given = await puller.pull(wants)
        self._unanswered = False
        return sum(given.values())

    async def _puller_on(self, session: Session) -> Puller:
        if self._puller is None or self._puller.session is not session:
            self._puller = Puller(session, self._names, self._arrive)
            await self._puller.start()
        return self._puller

    def _arrive(self, message: Msg) -> None:
        self._arrived.append((message, self._asked_at))
