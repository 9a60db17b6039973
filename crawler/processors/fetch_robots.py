"""Reads the robots.txt of one origin; each redirect hop is a delivery of its own."""

from __future__ import annotations

import msgspec

from crawler.commit_group import CommitGroup, Outcome
from crawler.fetcher.port import FetchAnswer
from crawler.fetcher.robots import MAX_REDIRECTS, robots_record, robots_request, rules_of
from crawler.frontier.keys import ROBOTS_PRIORITY, row_key
from crawler.frontier.port import (
    FETCH_ROBOTS,
    Discovered,
    Frontier,
    PageState,
    RobotsRecord,
    Target,
    Visited,
)
from crawler.packs import Packs
from crawler.processors.links import normalized, sitemaps_in_scope
from crawler.processors.polite_requests import PoliteRequests
from crawler.reasons import Reason
from crawler.url.normalizer import absolute
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.verdicts import Deferred, HandBack, Verdict

HOP_SECONDS = 900.0
"""When the first hop is asked again, should the next one never answer."""


class FetchRobots:
    """Processes `fetch_robots`."""

    job_type = FETCH_ROBOTS
    payload_type = Target
    timeout_seconds = 90.0
    retry = RetryPolicy()

    def __init__(
        self,
        frontier: Frontier,
        requests: PoliteRequests,
        packs: Packs,
        commits: CommitGroup,
        *,
        user_agent: str,
    ) -> None:
        self._frontier = frontier
        self._requests = requests
        self._packs = packs
        self._commits = commits
        self._user_agent = user_agent

    async def process(self, execution: Execution[Target]) -> Verdict | Deferred:
        """Fetch, keep the record, and only then let the host be asked: its delay may be longer."""
        target = execution.payload
        answer = await self._requests.ask(execution, robots_request(target.url))
        if answer is None:
            return HandBack()
        record = robots_record(answer, target.origin, target.hops)
        hop = _hop(target, record) if isinstance(record, str) else None
        if isinstance(record, str) and hop is None:
            record = robots_record(answer, target.origin, MAX_REDIRECTS)
        if hop is not None:
            await self._requests.over(execution, answer)
            return await self._commits.submit(_on_its_way(target, answer, hop))
        assert isinstance(record, RobotsRecord)
        record, sitemaps = self._within_pack(target, record)
        await self._frontier.put_robots(record)
        await self._requests.over(execution, answer)
        return await self._commits.submit(_read(target, answer, record, sitemaps))

    def _within_pack(
        self, target: Target, record: RobotsRecord
    ) -> tuple[RobotsRecord, list[Discovered]]:
        """Cut the Crawl-delay to what the pack allows; find the sitemaps."""
        pack = self._packs.named(target.pack, target.origin)
        if pack is None:
            return record, []
        rules = rules_of(record, self._user_agent)
        longest = pack.politeness.max_crawl_delay_seconds
        delay = min(max(rules.crawl_delay or 0.0, 0.0), longest)
        urls = (absolute(target.url, sitemap) for sitemap in rules.sitemaps)
        sitemaps = sitemaps_in_scope((url for url in urls if url), target, pack, depth=0)
        return msgspec.structs.replace(record, crawl_delay_seconds=delay), sitemaps


def _hop(target: Target, redirect_to: str) -> Discovered | None:
    url = normalized(redirect_to)
    if url is None:
        return None
    return Discovered(
        url_key=row_key("robots", url.key, target.origin),
        url=url.url,
        host=url.host,
        origin=target.origin,
        pack=target.pack,
        kind="robots",
        hops=target.hops + 1,
        priority=ROBOTS_PRIORITY,
        found_on=target.url,
    )


def _on_its_way(target: Target, answer: FetchAnswer, hop: Discovered) -> Outcome:
    visit = Visited(
        target=target,
        state=PageState.EXCLUDED,
        reason=Reason.REDIRECT.value,
        status=answer.status,
        redirect_to=hop.url,
        next_due_seconds=None if target.hops else HOP_SECONDS,
    )
    return Outcome(visit=visit, found=[hop])


def _read(
    target: Target, answer: FetchAnswer, record: RobotsRecord, sitemaps: list[Discovered]
) -> Outcome:
    reason = {
        "rules": Reason.ROBOTS_READ,
        "allow_all": Reason.ROBOTS_ABSENT,
        "disallow_all": Reason.ROBOTS_UNREACHABLE,
    }[record.verdict]
    visit = Visited(
        target=target,
        state=PageState.EXCLUDED,
        reason=reason.value,
        detail=answer.detail,
        status=answer.status,
        # A hop is asked for again only when its origin's robots.txt leads there again.
        next_due_seconds=None if target.hops else record.expires_in_seconds,
    )
    return Outcome(visit=visit, found=sitemaps)
