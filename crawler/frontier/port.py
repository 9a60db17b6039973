"""The frontier port: which URLs are known, which are due, and who may send a request now.

One delivery is one request: its grant. Pages, robots.txt, sitemaps and every redirect hop are
deliveries, so politeness holds across all workers because only the frontier hands them out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Literal, Protocol

import msgspec

from shared.postgres.port import Transaction
from shared.work_source import WorkSource

FETCH_PAGE = "fetch_page"
FETCH_ROBOTS = "fetch_robots"
FETCH_SITEMAP = "fetch_sitemap"

Kind = Literal["page", "robots", "sitemap"]


class Target(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Payload of a frontier delivery: one URL, due now, whose host may be asked now."""

    url_key: str
    """Hex of the 128-bit key of the normalised URL."""
    url: str
    host: str
    """The unit of politeness."""
    origin: str
    """scheme://host:port whose robots.txt applies."""
    pack: str
    kind: Kind = "page"
    epoch: int
    """Rises at every claim of the row; a commit with a lower one is dropped."""
    depth: int = 0
    hops: int = 0
    """Redirects that led here."""
    etag: str = ""
    last_modified: str = ""
    content_hash: str = ""
    """Hex hash of the document of the last visit; empty when there is none."""
    failures: int = 0
    """Transient failures in a row."""
    strikes: int = 0
    """Visits in a row on which the page was gone."""
    first_strike_at: float = 0.0
    interval_seconds: float = 0.0
    """Present interval between visits; 0 before the first."""
    use_by: float = 0.0
    """Local monotonic reading after which the grant is void. Set on arrival, not stored."""


class Discovered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A URL that somebody mentioned and that is in scope."""

    url_key: bytes
    url: str
    host: str
    origin: str
    pack: str
    kind: Kind = "page"
    depth: int = 0
    hops: int = 0
    priority: int = 0
    """Higher is sooner."""
    found_on: str = ""
    """URL it was found on; `seed` or a sitemap's URL otherwise."""


class PageState(Enum):
    """Where a page stands. Kept on its row, with a reason code."""

    KNOWN = "known"
    """Never fetched."""
    FETCHED = "fetched"
    """Has a live document."""
    EXCLUDED = "excluded"
    """Answered, but is not to be indexed: redirect, noindex, canonical elsewhere, not HTML ..."""
    GONE = "gone"
    FAILING = "failing"
    """The last visits failed for a reason that may pass; its document stays."""
    REFUSED = "refused"
    """Will not be fetched: robots, scope, address guard."""


class Visited(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one visit, to be committed only while `target.epoch` is still the row's."""

    target: Target
    state: PageState
    reason: str
    """Reason code, in snake case: `ok`, `unchanged`, `http_404`, `noindex`, `robots_denied` ..."""
    next_due_seconds: float | None
    """Seconds until the next visit; None for never by itself."""
    status: int = 0
    etag: str = ""
    last_modified: str = ""
    content_hash: str = ""
    failures: int = 0
    strikes: int = 0
    first_strike_at: float = 0.0
    interval_seconds: float = 0.0
    canonical: str = ""
    redirect_to: str = ""
    document_id: str = ""
    """Id of the document this page feeds; empty when it feeds none."""
    body: bytes = b""
    """The raw body, to be stored compressed for parsing again; empty keeps what is stored."""
    content_type: str = ""


class HostReport(msgspec.Struct, frozen=True, kw_only=True):
    """A request is over: the host may be asked again once its delay has passed.

    Sent at once, before the page is committed.
    """

    token: str
    host: str
    since_start_seconds: float
    """Seconds since the request was sent; negative when it never was."""
    delay_seconds: float | None = None
    """New delay of the host (Crawl-delay, a slow answer); None keeps it."""
    block_seconds: float = 0.0
    """Ask nothing of this host for so long (429, Retry-After, errors); the longest seen wins."""
    reason: str = ""


class RobotsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """robots.txt of one origin, as it applies until it expires."""

    origin: str
    verdict: Literal["rules", "allow_all", "disallow_all"]
    text: str = ""
    expires_in_seconds: float


class FrontierStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Counts for people."""

    pages: Mapping[str, int]
    """By state."""
    reasons: Mapping[str, int]
    due_now: int
    in_flight: int
    hosts: int
    hosts_waiting: int
    """Hosts with due pages whose next allowed time has not come."""
    next_due_seconds: float | None


class PageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the frontier knows of one URL, for `check` and `status`."""

    url: str
    state: PageState
    reason: str
    status: int
    depth: int
    found_on: str
    last_visit_at: float | None
    next_due_at: float | None
    content_hash: str
    canonical: str
    redirect_to: str


class Frontier(WorkSource, Protocol):
    """A polite work source.

    Its deliveries have the job types `fetch_page`, `fetch_robots` and `fetch_sitemap`, with a
    Target as payload. A page is handed out only while the robots record of its origin is fresh;
    otherwise the robots.txt of the origin is handed out first. Verdicts: Done after the visit was
    committed; Retry and DeadLetter for what a processor raised are written to the row.
    """

    async def discover(self, found: Sequence[Discovered]) -> int:
        """Add URLs that are not known yet, in a transaction of their own; return how many."""
        ...

    async def release(self, reports: Sequence[HostReport]) -> None:
        """Tell that requests are over, so that their hosts may be asked again in time."""
        ...

    async def commit(self, tx: Transaction, visits: Sequence[Visited]) -> Collection[str]:
        """Write visits whose epoch is still the row's; return the url_keys that were accepted."""
        ...

    async def put_robots(self, record: RobotsRecord) -> None:
        """Keep the robots record of an origin until it expires."""
        ...

    async def robots(self, origin: str) -> RobotsRecord | None:
        """Return the robots record of an origin while it is fresh."""
        ...

    async def recrawl(self, urls: Sequence[str] | None) -> int:
        """Make these URLs (None: all that were ever fetched) due now, politely."""
        ...

    async def status(self) -> FrontierStatus:
        """Return counts for people."""
        ...

    async def page(self, url_key: bytes) -> PageRecord | None:
        """Return what is known of one URL."""
        ...
