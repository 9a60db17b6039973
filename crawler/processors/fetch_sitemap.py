"""Reads one sitemap, or index of sitemaps."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from crawler.commit_group import CommitGroup, Outcome
from crawler.fetcher.port import FetchAnswer, FetchRequest
from crawler.fetcher.sitemaps import MAX_DEPTH, Sitemap, SitemapLimits
from crawler.frontier.port import FETCH_SITEMAP, Discovered, Frontier, PageState, Target, Visited
from crawler.packs import Packs
from crawler.parser.port import ParseError
from crawler.processors.links import pages_in_scope, sitemaps_in_scope
from crawler.processors.polite_requests import PoliteRequests
from crawler.processors.revisit import backoff
from crawler.processors.robots_leave import NoLeave, robots_leave
from crawler.reasons import Reason
from shared.contracts.domain_pack import DomainPack
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.verdicts import Deferred, Discard, HandBack, Snooze, Verdict

MAX_BODY_BYTES = SitemapLimits().max_bytes


class SitemapParser(Protocol):
    """Reads sitemaps within limits of time and memory."""

    async def sitemap(self, body: bytes, content_type: str, url: str) -> Sitemap:
        """Read one. Raises ParseError."""
        ...


class FetchSitemap:
    """Processes `fetch_sitemap`."""

    job_type = FETCH_SITEMAP
    payload_type = Target
    retry = RetryPolicy()

    def __init__(
        self,
        frontier: Frontier,
        requests: PoliteRequests,
        parser: SitemapParser,
        packs: Packs,
        commits: CommitGroup,
        *,
        user_agent: str,
    ) -> None:
        self.timeout_seconds = 2 * packs.longest_timeout() + 60.0
        self._frontier = frontier
        self._user_agent = user_agent
        self._requests = requests
        self._parser = parser
        self._packs = packs
        self._commits = commits

    async def process(self, execution: Execution[Target]) -> Verdict | Deferred:
        """Fetch, read, discover."""
        target = execution.payload
        pack = self._packs.named(target.pack, target.url)
        if pack is None:
            await self._requests.unused(execution)
            return Discard(f"{Reason.UNKNOWN_PACK.value}: {target.pack}")
        unsent = await robots_leave(self._frontier, target, self._user_agent)
        if unsent is not None:
            await self._requests.unused(execution)
            if isinstance(unsent, Snooze):
                return unsent
            return await self._commits.submit(_without_leave(target, pack, unsent))
        request = FetchRequest(
            url=target.url,
            max_body_bytes=MAX_BODY_BYTES,
            timeout_seconds=pack.politeness.timeout_seconds,
        )
        answer = await self._requests.send(execution, request)
        if answer is None:
            return HandBack()
        return await self._commits.submit(await self._outcome(target, pack, answer))

    async def _outcome(self, target: Target, pack: DomainPack, answer: FetchAnswer) -> Outcome:
        again = pack.recrawl.first_interval_seconds
        if answer.redirect_to:
            return self._redirected(target, pack, answer, again)
        if answer.status == 200:
            return await self._read(target, pack, answer, again)
        if answer.status in (404, 410):
            return _outcome(target, answer, PageState.GONE, f"http_{answer.status}", again)
        reason = (
            answer.fault.value if answer.fault is not None else _status_reason(answer.status).value
        )
        failures = target.failures + 1
        seconds = backoff(failures)
        return _outcome(target, answer, PageState.FAILING, reason, seconds, failures=failures)

    async def _read(
        self, target: Target, pack: DomainPack, answer: FetchAnswer, again: float
    ) -> Outcome:
        content_type = answer.headers.get("content-type", "")
        try:
            sitemap = await self._parser.sitemap(answer.body, content_type, target.url)
        except ParseError as error:
            return _outcome(
                target, answer, PageState.FAILING, error.reason, again, detail=str(error)
            )
        links = pages_in_scope((entry.url for entry in sitemap.urls), target, pack)
        found = links.found
        reason = Reason.SITEMAP_UNREADABLE if sitemap.fault else Reason.SITEMAP_READ
        if target.depth < MAX_DEPTH:
            depth = target.depth + 1
            found += sitemaps_in_scope(sitemap.children, target, pack, depth=depth)
        elif sitemap.children:
            reason = Reason.SITEMAP_TOO_DEEP
        outcome = _outcome(
            target, answer, PageState.EXCLUDED, reason.value, again, found, detail=sitemap.fault
        )
        return msgspec.structs.replace(outcome, left_out=links.left_out)

    def _redirected(
        self, target: Target, pack: DomainPack, answer: FetchAnswer, again: float
    ) -> Outcome:
        told: dict[str, Any] = {"redirect_to": answer.redirect_to}
        if target.hops >= pack.politeness.max_redirects:
            reason = Reason.TOO_MANY_REDIRECTS
            return _outcome(target, answer, PageState.EXCLUDED, reason.value, again, **told)
        found = sitemaps_in_scope(
            [answer.redirect_to], target, pack, depth=target.depth, hops=target.hops + 1
        )
        reason = Reason.REDIRECT if found else Reason.REDIRECT_OUT_OF_SCOPE
        return _outcome(target, answer, PageState.EXCLUDED, reason.value, again, found, **told)


def _without_leave(target: Target, pack: DomainPack, no_leave: NoLeave) -> Outcome:
    seconds = no_leave.seconds
    visit = Visited(
        target=target,
        state=no_leave.state,
        reason=no_leave.reason.value,
        detail=no_leave.detail,
        next_due_seconds=pack.recrawl.first_interval_seconds if seconds is None else seconds,
    )
    return Outcome(visit=visit)


def _status_reason(status: int) -> Reason:
    if status == 429:
        return Reason.HTTP_429
    if status >= 500:
        return Reason.HTTP_5XX
    return Reason.HTTP_4XX if status >= 400 else Reason.HTTP_UNEXPECTED


def _outcome(
    target: Target,
    answer: FetchAnswer,
    state: PageState,
    reason: str,
    seconds: float,
    found: list[Discovered] | None = None,
    **told: Any,
) -> Outcome:
    visit = Visited(
        target=target,
        state=state,
        reason=reason,
        status=answer.status,
        next_due_seconds=seconds,
        **{"detail": answer.detail, **told},
    )
    return Outcome(visit=visit, found=found or [])
