"""Walks through every decision about one URL, and says in words what each was."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import msgspec

from crawler.commit_group import Outcome
from crawler.fetcher.port import FetchAnswer, Fetcher
from crawler.fetcher.robots import MAX_REDIRECTS, robots_record, robots_request, rules_of
from crawler.frontier.port import Frontier, RobotsRecord, Target, Visited
from crawler.packs import Packs
from crawler.parser.port import PageParser, ParsedPage, ParseError
from crawler.processors.fetch_page import is_html, parse_request, request_for
from crawler.processors.judgement import Judge
from crawler.processors.robots_leave import no_leave
from crawler.reasons import explain
from crawler.seeds import SeedRefusedError, Seeds
from crawler.url.normalizer import InvalidUrlError, NormalizedUrl, normalize
from crawler.url.scope import decide
from shared.clock import SystemClock
from shared.contracts.domain_pack import DomainPack

TEXT_SHOWN = 300


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One decision."""

    name: str
    passed: bool | None
    """None for a fact that decides nothing."""
    words: str
    reason: str = ""
    facts: Mapping[str, Any] = {}


class EndOfWalk(Exception):  # noqa: N818 - it is no error
    """The walk ends here; the last step says why."""


class Check:
    """Makes requests of its own, a delay apart: the frontier's grants are not for people."""

    def __init__(
        self,
        seeds: Seeds,
        packs: Packs,
        fetcher: Fetcher,
        parser: PageParser,
        user_agent: str,
        frontier: Frontier | None,
    ) -> None:
        """Without a frontier, what is stored is not looked up."""
        self._seeds = seeds
        self._packs = packs
        self._fetcher = fetcher
        self._parser = parser
        self._user_agent = user_agent
        self._frontier = frontier
        self._steps: list[Step] = []
        self._asked = False

    async def run(self, text: str) -> Sequence[Step]:
        """Check one URL; the steps end with the decision that stops it."""
        with suppress(EndOfWalk):
            url = self._normalised(text)
            with suppress(EndOfWalk):
                await self._walk(url)
            await self._stored(url)
        return self._steps

    async def _walk(self, url: NormalizedUrl) -> None:
        pack = self._in_scope(url)
        await self._robots(url, pack)
        target = Target(
            url_key=url.key.hex(), url=url.url, host=url.host, origin=url.origin,
            pack=pack.name, epoch=0,
        )  # fmt: skip
        answer = await self._fetched(target, pack)
        page = await self._parsed(target, answer)
        self._judged(Judge(target, pack, SystemClock().wall()).page(answer, page), page)

    def _normalised(self, text: str) -> NormalizedUrl:
        try:
            url = normalize(text)
        except InvalidUrlError as error:
            self._stop("address", error.reason, repr(text[:200]))
        facts = {"key": url.key.hex(), "host": url.host, "origin": url.origin}
        self._passed("address", url.url, facts)
        return url

    def _in_scope(self, url: NormalizedUrl) -> DomainPack:
        try:
            name = self._seeds.page(url.url).pack
        except SeedRefusedError as error:
            self._stop("scope", error.reason, str(error))
        pack = self._packs.named(name, url.url)
        assert pack is not None
        rule = decide(pack, url, 0).rule
        self._passed("scope", f"belongs to pack {name} by {rule!r}", {"pack": name, "rule": rule})
        return pack

    async def _robots(self, url: NormalizedUrl, pack: DomainPack) -> None:
        record, asked = await self._robots_record(url.origin, pack)
        rules = rules_of(record, self._user_agent)
        refusal = no_leave(record, url.url, self._user_agent)
        line = refusal.detail if refusal is not None and record.verdict == "rules" else ""
        facts = {
            "asked": asked,
            "verdict": record.verdict,
            "line": line,
            "crawl_delay_seconds": rules.crawl_delay,
            "sitemaps": list(rules.sitemaps),
        }
        if refusal is not None:
            words = line or f"{refusal.reason.explanation} {refusal.detail}".strip()
            self._stop("robots.txt", refusal.reason.value, words, facts)
        self._passed("robots.txt", f"allows it for {self._user_agent}", facts)

    async def _robots_record(self, origin: str, pack: DomainPack) -> tuple[RobotsRecord, list[str]]:
        url, asked = f"{origin}/robots.txt", []
        for hops in range(MAX_REDIRECTS + 1):
            asked.append(url)
            answer = await self._ask(robots_request(url), pack)
            if answer.fault is not None:
                asked[-1] += f" ({answer.detail})"
            record = robots_record(answer, origin, hops)
            if isinstance(record, RobotsRecord):
                return record, asked
            url = record
        raise AssertionError("the last hop is never a redirect")

    async def _fetched(self, target: Target, pack: DomainPack) -> FetchAnswer:
        answer = await self._ask(request_for(target, pack), pack)
        facts: dict[str, Any] = {
            "address": answer.remote_address,
            "status": answer.status,
            "seconds": round(answer.elapsed_seconds, 3),
            "bytes": len(answer.body),
            "headers": dict(answer.headers),
        }
        outcome = self._judge_answer(target, pack, answer)
        if outcome is not None:
            visit = outcome.visit
            facts |= {"redirect_to": visit.redirect_to} if visit.redirect_to else {}
            self._stop("fetch", visit.reason, _words(visit), facts)
        self._passed("fetch", f"{answer.status} from {answer.remote_address}", facts)
        return answer

    def _judge_answer(
        self, target: Target, pack: DomainPack, answer: FetchAnswer
    ) -> Outcome | None:
        judge = Judge(target, pack, SystemClock().wall())
        if answer.fault is not None or answer.status not in (200, 203):
            return judge.answer(answer)
        return None if is_html(answer) else judge.not_html(answer)

    async def _parsed(self, target: Target, answer: FetchAnswer) -> ParsedPage:
        try:
            page = await self._parser.parse(parse_request(target, answer))
        except ParseError as error:
            self._stop("parse", error.reason, str(error))
        facts = {
            "charset": page.charset,
            "language": page.language,
            "title": page.title,
            "text": page.text[:TEXT_SHOWN],
            "links": len(page.links),
            "noindex": page.noindex,
            "nofollow": page.nofollow,
            "canonical": page.canonical,
            "ignored_canonical": page.ignored_canonical,
        }
        self._passed("parse", f"{len(page.text)} characters of text in {page.charset}", facts)
        missing = f"; missing: {', '.join(page.missing_fields)}" if page.missing_fields else ""
        self._steps.append(
            Step(
                name="fields",
                passed=None,
                words=f"{len(page.fields)} found{missing}",
                facts=dict(page.fields),
            )
        )
        return page

    def _judged(self, outcome: Outcome, page: ParsedPage) -> None:
        visit = outcome.visit
        facts: dict[str, Any] = {
            "state": visit.state.value,
            "canonical": visit.canonical,
            "links_in_scope": len(outcome.found),
        }
        if not visit.document_id:
            self._stop("document", visit.reason, _words(visit), facts)
        document = msgspec.json.decode(page.body)
        facts |= {"id": visit.document_id, "content_hash": visit.content_hash}
        facts |= {"document": document, "next_visit_seconds": visit.next_due_seconds}
        self._passed("document", visit.detail or "would be stored", facts)

    async def _stored(self, url: NormalizedUrl) -> None:
        if self._frontier is None:
            words = "not looked up: DATABASE_URL is not set"
            self._steps.append(Step(name="stored", passed=None, words=words))
            return
        record = await self._frontier.page(url.key)
        if record is None:
            words = (
                "not known: nothing crawled links to it, or its pack is full, or it lies too deep"
            )
            self._steps.append(Step(name="stored", passed=None, words=words))
            return
        words = (
            f"{record.state.value}: {explain(record.reason)}" if record.reason else "never visited"
        )
        facts = msgspec.to_builtins(record)
        self._steps.append(
            Step(name="stored", passed=None, words=words, reason=record.reason, facts=facts)
        )

    async def _ask(self, request: Any, pack: DomainPack) -> FetchAnswer:
        if self._asked:
            await asyncio.sleep(pack.politeness.delay_seconds)
        self._asked = True
        return await self._fetcher.fetch(request)

    def _passed(self, name: str, words: str, facts: Mapping[str, Any]) -> None:
        self._steps.append(Step(name=name, passed=True, words=words, facts=facts))

    def _stop(
        self, name: str, reason: str, words: str, facts: Mapping[str, Any] | None = None
    ) -> NoReturn:
        self._steps.append(
            Step(name=name, passed=False, words=words, reason=reason, facts=facts or {})
        )
        raise EndOfWalk


def _words(visit: Visited) -> str:
    explained = explain(visit.reason)
    return f"{explained} {visit.detail}" if visit.detail else explained
