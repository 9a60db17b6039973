"""What the crawler counts. No label names a URL or a host."""

from __future__ import annotations

from crawler.frontier.port import JOB_TYPES, PageState
from crawler.reasons import Reason
from crawler.seeds import SEED
from shared.observability.metrics import MetricsTable
from shared.pool.metrics import PoolMetrics

JOBS = (*JOB_TYPES.values(), SEED)
LEFT_OUT = (
    Reason.HOST_NOT_IN_SCOPE,
    Reason.DENIED_BY_RULE,
    Reason.NOT_ALLOWED_BY_RULE,
    Reason.TOO_DEEP,
    Reason.URL_TOO_LONG,
    Reason.TOO_MANY_SEGMENTS,
    Reason.REPEATED_SEGMENTS,
    Reason.TOO_MANY_PARAMETERS,
    Reason.NOFOLLOW,
    Reason.INVALID_URL,
    Reason.SCHEME_NOT_HTTP,
    Reason.URL_HAS_USERINFO,
    Reason.INVALID_HOST,
)
"""What `crawler.url` and `nofollow` may say of a link."""


class CrawlerMetrics:
    """Declares the metrics on a table before any fork."""

    def __init__(self, table: MetricsTable) -> None:
        self.pool = PoolMetrics(table, JOBS)
        outcomes = [state.value for state in PageState]
        pages = table.counter(
            "crawler_pages_total", "Visits committed, by what became of the page.",
            {"outcome": outcomes},
        )  # fmt: skip
        self.pages = {outcome: pages.cell(outcome) for outcome in outcomes}
        documents = table.counter(
            "crawler_documents_total", "Documents by what was done.",
            {"result": ["written", "unchanged", "removed"]},
        )  # fmt: skip
        self.documents_written = documents.cell("written")
        self.documents_unchanged = documents.cell("unchanged")
        self.documents_removed = documents.cell("removed")
        self.bytes = table.counter(
            "crawler_fetched_bytes_total", "Bytes of bodies, decompressed."
        ).cell()
        self.fetch_seconds = table.histogram(
            "crawler_fetch_seconds", "Time from the start of a request to the end of its answer."
        ).cell()
        self.host_rest_seconds = table.counter(
            "crawler_host_rest_seconds_total",
            "Time for which hosts are left alone beyond their delay (429, errors, slow answers).",
        ).cell()
        self.grants_void = table.counter(
            "crawler_grants_void_total", "Grants that came too late to be used."
        ).cell()
        self.commits_dropped = table.counter(
            "crawler_commits_dropped_total", "Visits whose URL had been given to another worker."
        ).cell()
        self.discovered = table.counter(
            "crawler_urls_discovered_total", "URLs that were not known before."
        ).cell()
        links = table.counter(
            "crawler_links_left_out_total",
            "Links of pages and sitemaps that got no row, by reason code.",
            {"reason": [reason.value for reason in LEFT_OUT]},
        )
        self.links_left_out = {reason.value: links.cell(reason.value) for reason in LEFT_OUT}
        self.removals_held = table.counter(
            "crawler_removals_held_total", "Removals held back by the brake on mass deletion."
        ).cell()
        self.commit_seconds = table.histogram(
            "crawler_commit_seconds", "Time to commit a group of visits."
        ).cell()
