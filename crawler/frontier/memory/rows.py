"""Rows of the frontier, in memory. Frozen: a transaction replaces them."""

from __future__ import annotations

import msgspec

from crawler.frontier.port import Discovered, PageRecord, PageState, Target, Visited
from crawler.frontier.settlement import RowVerdict

CRASHES_ALLOWED = 3


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One URL. Times are monotonic readings, but what people read is seconds since the epoch."""

    found: Discovered
    due: float | None
    epoch: int = 0
    claimed: bool = False
    attempts: int = 0
    crashes: int = 0
    state: PageState = PageState.KNOWN
    reason: str = ""
    detail: str = ""
    last: Visited | None = None
    visited_at: float | None = None
    removed_at: float | None = None

    def target(self) -> Target:
        """Return what is handed out when the row is claimed."""
        found, last = self.found, self.last
        known = {} if last is None else {name: getattr(last, name) for name in _REMEMBERED}
        return Target(
            url_key=found.url_key.hex(),
            url=found.url,
            host=found.host,
            origin=found.origin,
            pack=found.pack,
            kind=found.kind,
            epoch=self.epoch,
            depth=found.depth,
            hops=found.hops,
            attempt=self.attempts + 1,
            crashes=self.crashes,
            **known,
        )

    def claim(self) -> Row:
        """Hand it out."""
        return msgspec.structs.replace(self, epoch=self.epoch + 1, claimed=True)

    def lost(self, now: float) -> Row:
        """Take it back from a dead worker; after the third death it rests for a day."""
        row = msgspec.structs.replace(
            self, epoch=self.epoch + 1, claimed=False, crashes=self.crashes + 1, due=now
        )
        if row.crashes < CRASHES_ALLOWED:
            return row
        return msgspec.structs.replace(
            row, crashes=0, due=now + 86_400, state=PageState.FAILING, reason="worker_crashed"
        )

    def visited(self, visit: Visited, now: float, wall: float) -> Row:
        """Write a visit."""
        seconds = visit.next_due_seconds
        return msgspec.structs.replace(
            self,
            claimed=False,
            attempts=0,
            crashes=0,
            due=None if seconds is None else now + seconds,
            state=visit.state,
            reason=visit.reason,
            detail=visit.detail,
            last=visit,
            visited_at=wall,
            removed_at=wall if visit.removed else self.removed_at,
        )

    def settled(self, verdict: RowVerdict, now: float) -> Row:
        """Write a verdict other than Done."""
        return msgspec.structs.replace(
            self,
            claimed=False,
            attempts=self.attempts + verdict.attempt,
            due=None if verdict.seconds is None else now + verdict.seconds,
            state=self.state if verdict.state is None else PageState(verdict.state),
            reason=self.reason if verdict.reason is None else verdict.reason,
            detail=self.detail if verdict.detail is None else verdict.detail,
        )

    def record(self, wall_of_due: float | None) -> PageRecord:
        """Return it for people."""
        last = self.last
        return PageRecord(
            url=self.found.url,
            pack=self.found.pack,
            kind=self.found.kind,
            state=self.state,
            reason=self.reason,
            detail=self.detail,
            status=last.status if last else 0,
            depth=self.found.depth,
            found_on=self.found.found_on,
            last_visit_at=self.visited_at,
            next_due_at=wall_of_due,
            content_hash=last.content_hash if last else "",
            canonical=last.canonical if last else "",
            redirect_to=last.redirect_to if last else "",
        )


_REMEMBERED = (
    "etag",
    "last_modified",
    "content_hash",
    "failures",
    "strikes",
    "first_strike_at",
    "interval_seconds",
)
