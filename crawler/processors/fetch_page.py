"""Visits one page: may it be asked for, what came, what that means."""

from __future__ import annotations

from crawler.commit_group import CommitGroup, Outcome
from crawler.fetcher.port import FetchAnswer, FetchRequest
from crawler.frontier.port import FETCH_PAGE, Frontier, Target
from crawler.packs import Packs
from crawler.parser.port import PageParser, ParseError, ParseRequest
from crawler.processors.judgement import Judge
from crawler.processors.polite_requests import PoliteRequests
from crawler.processors.robots_leave import NoLeave, robots_leave
from crawler.reasons import Reason
from crawler.url.normalizer import normalize
from crawler.url.scope import decide
from shared.clock import Clock
from shared.contracts.domain_pack import DomainPack
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.verdicts import Deferred, Discard, HandBack, Snooze, Verdict

HTML = ("text/html", "application/xhtml+xml")


class FetchPage:
    """Processes `fetch_page`. The slot is free before the commit; the host before that."""

    job_type = FETCH_PAGE
    payload_type = Target
    retry = RetryPolicy()

    def __init__(
        self,
        frontier: Frontier,
        requests: PoliteRequests,
        parser: PageParser,
        packs: Packs,
        commits: CommitGroup,
        *,
        user_agent: str,
        clock: Clock,
    ) -> None:
        self.timeout_seconds = 2 * packs.longest_timeout() + 30.0
        self._frontier = frontier
        self._requests = requests
        self._parser = parser
        self._packs = packs
        self._commits = commits
        self._user_agent = user_agent
        self._clock = clock

    async def process(self, execution: Execution[Target]) -> Verdict | Deferred:
        """Decide, fetch, judge, and hand over to the commit group."""
        target = execution.payload
        pack = self._packs.named(target.pack, target.url)
        if pack is None:
            await self._requests.unused(execution)
            return Discard(f"{Reason.UNKNOWN_PACK.value}: {target.pack}")
        judge = Judge(target, pack, self._clock.wall())
        unsent = await self._not_to_be_sent(target, pack, judge)
        if unsent is not None:
            await self._requests.unused(execution)
            return unsent if isinstance(unsent, Snooze) else await self._commits.submit(unsent)
        answer = await self._requests.send(execution, request_for(target, pack))
        if answer is None:
            return HandBack()
        return await self._commits.submit(await self._judged(judge, target, answer))

    async def _not_to_be_sent(
        self, target: Target, pack: DomainPack, judge: Judge
    ) -> Outcome | Snooze | None:
        scope = decide(pack, normalize(target.url), target.depth)
        if not scope.allowed:
            return judge.out_of_scope(scope.reason, scope.rule)
        unsent = await robots_leave(self._frontier, target, self._user_agent)
        return judge.without_leave(unsent) if isinstance(unsent, NoLeave) else unsent

    async def _judged(self, judge: Judge, target: Target, answer: FetchAnswer) -> Outcome:
        if answer.fault is not None or answer.status not in (200, 203):
            return judge.answer(answer)
        if not is_html(answer):
            return judge.not_html(answer)
        try:
            page = await self._parser.parse(parse_request(target, answer))
        except ParseError as error:
            if error.reason == Reason.NOT_HTML.value:
                return judge.not_html(answer)
            return judge.unparsable(error.reason, str(error), answer.status)
        return judge.page(answer, page)


def request_for(target: Target, pack: DomainPack) -> FetchRequest:
    """Ask for a page; conditionally, when its document is there."""
    has_document = bool(target.content_hash)
    return FetchRequest(
        url=target.url,
        etag=target.etag if has_document else "",
        last_modified=target.last_modified if has_document else "",
        max_body_bytes=pack.politeness.max_body_bytes,
        timeout_seconds=pack.politeness.timeout_seconds,
    )


def is_html(answer: FetchAnswer) -> bool:
    """Tell by the Content-Type; one that is missing is left to the parser."""
    content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return content_type in ("", *HTML)


def parse_request(target: Target, answer: FetchAnswer) -> ParseRequest:
    """Ask the parser for a page that was fetched."""
    return ParseRequest(
        url=target.url,
        body=answer.body,
        content_type=answer.headers.get("content-type", ""),
        x_robots_tag=answer.headers.get("x-robots-tag", ""),
        pack=target.pack,
    )
