"""Reads what lies in a queue, without touching it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio

from shared.jobs import Job
from shared.queue.administration import DeadLetterRecord, JobRecord, State
from shared.queue.port import InboxDecoder
from shared.queue.redis.keys import QueueKeys
from shared.queue.redis.stored_job import decode_dead_letter, decode_job, lane_of, raw_of
from shared.redis.script import Script

PAGE = 1000

_list = Script(
    "shared.queue.redis", "prelude.lua", "waiting.lua", "paused.lua", "lanes.lua", "list.lua"
)
_find = Script("shared.queue.redis", "prelude.lua", "whereabouts.lua", "find.lua")


class Listing:
    """Jobs by state and by key, read with the decoder of the inbox. Errors are the client's."""

    def __init__(self, client: redis.asyncio.Redis, keys: QueueKeys, decoder: InboxDecoder) -> None:
        self._client = client
        self._keys = keys
        self._decoder = decoder

    async def jobs(self, state: State, limit: int, offset: int) -> Sequence[JobRecord]:
        """List jobs in one state."""
        if state == "dead":
            return [_dead(each) for each in await self.dead_letters(limit, offset)]
        k = self._keys
        names = [
            k.inbox, k.intake, k.jobs, k.leases, k.delayed, k.suspects, *k.ready, k.prefix,
        ]  # fmt: skip
        rows = await _list.run(self._client, names, [state, offset, limit])
        if state == "inbox":
            return [self._message(raw) for raw in rows[2::3]]
        return [self._record(state, *rows[at : at + 3]) for at in range(0, len(rows), 3)]

    async def job(self, key: str) -> JobRecord | None:
        """Find one job in whatever state."""
        k = self._keys
        found = await _find.run(self._client, [k.jobs, k.delayed, k.leases, k.prefix], [key])
        if found is None:
            dead: Any = await self._client.hget(k.dead_records, key)
            return _dead(decode_dead_letter(key, dead, self._decoder)) if dead else None
        state, member, due, stored = found
        member = member or await self._ready_member(key, lane_of(stored)) or f"{key}:0:0:0".encode()
        return self._record(state.decode(), member, due, stored)

    async def dead_letters(self, limit: int, offset: int) -> Sequence[DeadLetterRecord]:
        """List dead letters, oldest first."""
        keys: Any = await self._client.zrange(self._keys.dead, offset, offset + limit - 1)
        if not keys:
            return []
        records: Any = await self._client.hmget(self._keys.dead_records, keys)
        return [
            decode_dead_letter(key.decode(), record, self._decoder)
            for key, record in zip(keys, records, strict=True)
            if record is not None
        ]

    async def _ready_member(self, key: str, lane: str) -> bytes | None:
        """Look for a member, which has the counts, page by page so that nobody has to wait."""
        start = key.encode() + b":"
        for name in await self._ready_lists(lane):
            at = 0
            while page := await self._page(name, at):
                for member in page:
                    if member.startswith(start) and member.rsplit(b":", 3)[0] == start[:-1]:
                        return member
                at += PAGE
        return None

    async def _page(self, name: str, at: int) -> Sequence[bytes]:
        found: Any = await self._client.lrange(name, at, at + PAGE - 1)
        return found  # type: ignore[no-any-return]

    async def _ready_lists(self, lane: str) -> Sequence[str]:
        paused: Any = await self._client.hkeys(self._keys.paused)
        parked = [f"{self._keys.paused}:{name.decode()}" for name in paused if name]
        lanes = [self._keys.lane(lane)] if lane else []
        return [self._keys.suspects, *self._keys.ready, *lanes, *parked]

    def _message(self, raw: bytes) -> JobRecord:
        return JobRecord(key="", state="inbox", job=self._decoded(raw), raw=raw)

    def _decoded(self, raw: bytes) -> Job | None:
        try:
            return self._decoder(raw)
        except ValueError:
            return None

    def _record(self, state: State, member: bytes, due: int, stored: bytes) -> JobRecord:
        key, _epoch, attempts, crashes = member.decode().rsplit(":", 3)
        job: Job | None
        try:
            job = decode_job(key, stored, self._decoder)
        except ValueError:
            job = None
        return JobRecord(
            key=key,
            state=state,
            job=job,
            raw=raw_of(stored),
            attempts=int(attempts),
            crashes=int(crashes),
            due_in_seconds=None if state == "ready" else due / 1000.0,
        )


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
