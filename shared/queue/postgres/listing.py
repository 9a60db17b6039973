"""Reads what lies in a queue, without touching it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.jobs import Job
from shared.queue.administration import DeadLetterRecord, JobRecord, State
from shared.queue.port import InboxDecoder
from shared.queue.postgres.session import Session
from shared.queue.postgres.sql import statement
from shared.queue.postgres.stored_job import decode_job

_INBOX = statement("list_inbox")
_READY = statement("list_ready")
_TIMED = statement("list_timed")
_DEAD = statement("list_dead")
_FIND = statement("find")
_FIND_DEAD = statement("find_dead")


class Listing:
    """Jobs by state and by key, read with the decoder of the inbox."""

    def __init__(self, session: Session, name: str, decoder: InboxDecoder) -> None:
        self._session = session
        self._name = name
        self._decoder = decoder

    async def jobs(self, state: State, limit: int, offset: int) -> Sequence[JobRecord]:
        """List jobs in one state."""
        if state == "dead":
            return [_dead(each) for each in await self.dead_letters(limit, offset)]
        if state == "inbox":
            rows = await self._session.fetch(_INBOX, self._name, limit, offset)
            return [self._message(row["body"]) for row in rows]
        if state == "ready":
            rows = await self._session.fetch(_READY, self._name, limit, offset)
        else:
            rows = await self._session.fetch(_TIMED, self._name, state, limit, offset)
        return [self._record(row, state) for row in rows]

    async def job(self, key: str) -> JobRecord | None:
        """Find one job in whatever state."""
        row = await self._session.fetchrow(_FIND, self._name, key.encode())
        if row is not None:
            return self._record(row, "ready" if row["state"] == "parked" else row["state"])
        row = await self._session.fetchrow(_FIND_DEAD, self._name, key.encode())
        return _dead(self._letter(row)) if row is not None else None

    async def dead_letters(self, limit: int, offset: int) -> Sequence[DeadLetterRecord]:
        """List dead letters, oldest first."""
        rows = await self._session.fetch(_DEAD, self._name, limit, offset)
        return [self._letter(row) for row in rows]

    def _message(self, raw: bytes) -> JobRecord:
        try:
            job: Job | None = self._decoder(raw)
        except ValueError:
            job = None
        return JobRecord(key="", state="inbox", job=job, raw=raw)

    def _record(self, row: Any, state: State) -> JobRecord:
        return JobRecord(
            key=row["key"].decode(),
            state=state,
            job=self._job(row),
            raw=row["body"] if row["raw"] else b"",
            attempts=row["attempts"],
            crashes=row["crashes"],
            due_in_seconds=None if state == "ready" else max(0.0, row["due"]),
        )

    def _letter(self, row: Any) -> DeadLetterRecord:
        return DeadLetterRecord(
            key=row["key"].decode(),
            reason=row["reason"].decode(errors="replace"),
            died_at=row["died"],
            attempts=row["attempts"],
            crashes=row["crashes"],
            job=self._job(row),
            raw=row["body"] if row["raw"] else b"",
        )

    def _job(self, row: Any) -> Job | None:
        try:
            return decode_job(row, self._decoder)
        except ValueError:
            return None


def _dead(letter: DeadLetterRecord) -> JobRecord:
    return JobRecord(
        key=letter.key,
        state="dead",
        job=letter.job,
        raw=letter.raw,
        attempts=letter.attempts,
        crashes=letter.crashes,
        reason=letter.reason,
        died_at=letter.died_at,
    )
