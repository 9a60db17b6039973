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

JOB_TYPES: Mapping[Kind, str] = {
    "page": FETCH_PAGE,
    "robots": FETCH_ROBOTS,
    "sitemap": FETCH_SITEMAP,
}


class PackPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the frontier itself enforces of a domain pack."""

    delay_seconds: float = 1.0
    """Least time between the starts of two requests to one host of the pack."""
    max_pages: int = 10_000
    """Pages known, not pages fetched. Approximate when several processes discover at once: each
    counts the others' pages anew every few seconds."""


class FrontierSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every adapter is given."""

    packs: Mapping[str, PackPolicy] = {}
    other_packs: PackPolicy = PackPolicy()
    """For the packs that are made for single seeds and have no file."""
    lease_seconds: float = 30.0
    grant_seconds: float = 10.0
    """How long after its grant a request may start. Shorter than the lease, so that a lease that
    expired belongs to a request that was started long ago or never will be."""
    longest_fetch_seconds: float = 35.0
    """No request takes longer; a new incarnation of the politeness state waits it out."""
    head_size: int = 32
    """About how many URLs of one host are kept ready to be granted."""

    def policy(self, pack: str) -> PackPolicy:
        """Return what is enforced for a pack."""
        return self.packs.get(pack, self.other_packs)


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
    attempt: int = 1
    """Rises each time that a processor raised; a commit sets it back."""
    crashes: int = 0
    """Workers that died over this row since its last commit."""
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
    """URL of the page, sitemap or robots.txt it was found on; `seed` otherwise."""


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
    detail: str = ""
    """The reason in words: the rule, the robots line, the fault."""
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
    removed: bool = False
    """This visit removes the page's document."""
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
    """Seconds since the host surely had the request; negative when it was never sent."""
    block_seconds: float = 0.0
    """Ask nothing of this host for so long (429, Retry-After, slow answers, errors); the longest
    seen wins, and it outlives Redis."""


class RobotsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """robots.txt of one origin, as it applies until it expires."""

    origin: str
    verdict: Literal["rules", "allow_all", "disallow_all"]
    text: str = ""
    expires_in_seconds: float
    crawl_delay_seconds: float = 0.0
    """Already cut to what the pack allows. The longest of a host's origins and the pack's own
    delay apply."""
    reason: str = ""
    """Why the file could not be had, as a reason code; empty when it could."""
    detail: str = ""
    """The same in words."""


class Removals(msgspec.Struct, frozen=True):
    """How many documents a pack has, and how many it lost lately; for the brake."""

    live: int
    removed: int


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
    pack: str
    kind: Kind
    state: PageState
    reason: str
    detail: str
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
    committed; Retry, Snooze, Discard and DeadLetter are written to the row; HandBack returns the
    URL to its host's head. A delivery that is settled without a HostReport counts as a request
    that started just now.
    """

    async def discover(self, found: Sequence[Discovered]) -> int:
        """Add URLs that are not known yet, in a transaction of their own; return how many.

        Pages beyond their pack's budget are left out. A robots.txt that is known becomes due
        again: it is the next hop of another one.
        """
        ...

    async def release(self, reports: Sequence[HostReport]) -> None:
        """Tell that requests are over, so that their hosts may be asked again in time."""
        ...

    async def commit(self, tx: Transaction, visits: Sequence[Visited]) -> Collection[str]:
        """Write visits whose epoch is still the row's; return the url_keys that were accepted.

        Committing a visit again, after a commit whose answer was lost, is accepted again.
        """
        ...

    async def put_robots(self, record: RobotsRecord) -> None:
        """Keep the robots record of an origin until it expires."""
        ...

    async def robots(self, origin: str) -> RobotsRecord | None:
        """Return the robots record of an origin while it is fresh."""
        ...

    async def recrawl(self, url_keys: Sequence[bytes] | None) -> int:
        """Make these pages (None: all that were ever visited) due now; return how many there are.

        With None the sitemaps that were read are due again too, so that new pages are found. The
        delays of all hosts hold. A page that is being visited at this moment is not visited twice.
        """
        ...

    async def status(self) -> FrontierStatus:
        """Return counts for people."""
        ...

    async def removals(self, pack: str, window_seconds: float) -> Removals:
        """Count a pack's live documents, and those removed within the window."""
        ...

    async def page(self, url_key: bytes) -> PageRecord | None:
        """Return what is known of one URL."""
        ...
