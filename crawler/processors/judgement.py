"""What an answer means for its page. Pure: target, pack and answer in, outcome out."""

from __future__ import annotations

from typing import Any

import msgspec

from crawler.commit_group import Outcome
from crawler.fetcher.port import FetchAnswer, FetchFault
from crawler.frontier.port import Discovered, PageState, Target, Visited
from crawler.parser.port import ParsedPage
from crawler.processors.links import normalized, pages_in_scope, same_place
from crawler.processors.revisit import backoff, next_interval
from crawler.processors.robots_leave import NoLeave
from crawler.reasons import Reason
from crawler.url.scope import decide
from shared.contracts.domain_pack import DomainPack
from shared.documents.port import DocumentWrite

FORBIDDEN = frozenset({401, 402, 403, 407, 451})
PERMANENT_REDIRECTS = frozenset({301, 308})


class Judge:
    """Judges the visits of one page.

    Removal classes: gone (410), noindex, canonical elsewhere, moved for good and out of scope act
    at once; not found (404) and moved for a while after the pack's strikes; forbidden, denied by
    robots.txt, faults and server errors never remove a document.
    """

    def __init__(self, target: Target, pack: DomainPack, wall: float) -> None:
        """`wall` is the time in seconds since the epoch."""
        self._target = target
        self._pack = pack
        self._wall = wall

    def refused(self, reason: str, detail: str) -> Outcome:
        """Nothing was sent: the address guard. The document stays."""
        return self._kept(PageState.REFUSED, reason, self._calmly(), detail=detail)

    def out_of_scope(self, reason: str, detail: str) -> Outcome:
        """Nothing was sent: the pack no longer covers the URL."""
        return self._without_document(PageState.REFUSED, reason, None, detail=detail)

    def without_leave(self, no_leave: NoLeave) -> Outcome:
        """Nothing was sent: robots.txt. The document stays."""
        return self._kept(
            no_leave.state,
            no_leave.reason.value,
            self._calmly() if no_leave.seconds is None else no_leave.seconds,
            detail=no_leave.detail,
            failures=self._target.failures,
        )

    def answer(self, answer: FetchAnswer) -> Outcome:
        """Judge everything but a page's content."""
        status = answer.status
        if answer.fault is not None:
            return self._fault(answer.fault, answer.detail)
        if status == 304:
            return self._not_modified(answer)
        if 300 <= status < 400:
            return self._redirect(answer)
        if status == 410:
            return self._without_document(PageState.GONE, "http_410", self._calmly(), status=410)
        if status == 404:
            return self._strike(PageState.GONE, Reason.HTTP_404, status)
        if status in FORBIDDEN:
            return self._kept(PageState.FAILING, "forbidden", self._calmly(), status=status)
        if status == 429 or status >= 500:
            reason = Reason.HTTP_429 if status == 429 else Reason.HTTP_5XX
            return self._failing(reason.value, status=status)
        reason = Reason.HTTP_4XX if status >= 400 else Reason.HTTP_UNEXPECTED
        return self._kept(PageState.FAILING, reason.value, self._calmly(), status=status)

    def not_html(self, answer: FetchAnswer) -> Outcome:
        """The page is something else now."""
        return self._excluded(
            Reason.NOT_HTML, answer, detail=answer.headers.get("content-type", "")[:200]
        )

    def unparsable(self, reason: str, detail: str, status: int) -> Outcome:
        """The parser could not read it; trying often would not help."""
        seconds = self._pack.recrawl.max_interval_seconds
        return self._kept(PageState.FAILING, reason, seconds, detail=detail, status=status)

    def page(self, answer: FetchAnswer, page: ParsedPage) -> Outcome:
        """Judge a page's content."""
        followed = [link.url for link in page.links if not (page.nofollow or link.nofollow)]
        links = pages_in_scope(followed, self._target, self._pack)
        links.left_out[Reason.NOFOLLOW.value] = len(page.links) - len(followed)
        outcome = self._content(answer, page, links.found)
        return msgspec.structs.replace(outcome, left_out=links.left_out)

    def _content(self, answer: FetchAnswer, page: ParsedPage, found: list[Discovered]) -> Outcome:
        if page.noindex:
            return self._excluded(Reason.NOINDEX, answer, found=found)
        ignored = page.ignored_canonical
        canonical = normalized(page.canonical) if page.canonical else None
        if canonical is not None and canonical.key.hex() != self._target.url_key:
            decision = decide(self._pack, canonical, self._target.depth)
            if decision.allowed:
                return self._excluded(
                    Reason.CANONICAL,
                    answer,
                    canonical=canonical.url,
                    found=[*found, same_place(canonical, self._target)],
                )
            ignored = canonical.url
        if page.missing_fields:
            names = ", ".join(page.missing_fields)
            return self._excluded(Reason.MISSING_FIELDS, answer, found=found, detail=names)
        detail = f"canonical ignored: {ignored}" if ignored else ""
        return self._stored(answer, page, found, detail)

    def _stored(self, answer: FetchAnswer, page: ParsedPage, found: Any, detail: str) -> Outcome:
        target, content_hash = self._target, page.content_hash.hex()
        changed = content_hash != target.content_hash
        interval = self._interval(changed=changed)
        visit = Visited(
            target=target,
            state=PageState.FETCHED,
            reason=Reason.OK.value if changed else Reason.UNCHANGED.value,
            detail=detail,
            next_due_seconds=interval,
            interval_seconds=interval,
            content_hash=content_hash,
            document_id=target.url_key,
            body=answer.body if changed else b"",
            content_type=answer.headers.get("content-type", ""),
            **_validators(answer),
        )
        document = DocumentWrite(target.url_key, page.body, page.content_hash)
        return Outcome(visit=visit, document=document if changed else None, found=found)

    def _not_modified(self, answer: FetchAnswer) -> Outcome:
        if not self._target.content_hash:
            return self._failing(Reason.HTTP_UNEXPECTED.value, status=304)
        interval = self._interval(changed=False)
        return self._kept(
            PageState.FETCHED,
            Reason.NOT_MODIFIED.value,
            interval,
            interval_seconds=interval,
            status=304,
        )

    def _redirect(self, answer: FetchAnswer) -> Outcome:
        target = self._target
        to = normalized(answer.redirect_to) if answer.redirect_to else None
        if to is None:
            detail = answer.redirect_to or "no Location"
            return self._moved(Reason.REDIRECT_INVALID, answer, detail=detail)
        if to.key.hex() == target.url_key:
            return self._moved(Reason.REDIRECT_TO_ITSELF, answer, to=to.url)
        decision = decide(self._pack, to, target.depth)
        if not decision.allowed:
            said = f"{decision.reason}: {decision.rule}"
            return self._moved(Reason.REDIRECT_OUT_OF_SCOPE, answer, to=to.url, detail=said)
        if target.hops >= self._pack.politeness.max_redirects:
            return self._moved(Reason.TOO_MANY_REDIRECTS, answer, to=to.url)
        found = [same_place(to, target, hops=target.hops + 1)]
        return self._moved(Reason.REDIRECT, answer, to=to.url, found=found)

    def _moved(
        self,
        reason: Reason,
        answer: FetchAnswer,
        *,
        to: str = "",
        detail: str = "",
        found: Any = (),
    ) -> Outcome:
        told = {"redirect_to": to, "detail": detail}
        if answer.status in PERMANENT_REDIRECTS or not self._target.content_hash:
            return self._excluded(reason, answer, found=found, **told)
        struck = self._strike(PageState.EXCLUDED, reason, answer.status, **told)
        return Outcome(visit=struck.visit, found=found)

    def _strike(self, state: PageState, reason: Reason, status: int, **told: Any) -> Outcome:
        """Count a strike if the last one is long enough ago; remove after enough of them."""
        target, recrawl = self._target, self._pack.recrawl
        first = target.first_strike_at if target.strikes else self._wall
        counts = self._wall >= first + target.strikes * recrawl.strike_interval_seconds
        strikes = target.strikes + (1 if counts else 0)
        told |= {"status": status, "strikes": strikes, "first_strike_at": first}
        if strikes >= recrawl.gone_strikes or not target.content_hash:
            return self._without_document(state, reason.value, self._calmly(), **told)
        left = max(first + strikes * recrawl.strike_interval_seconds - self._wall, 0.0)
        return self._kept(PageState.FAILING, reason.value, left, **told)

    def _fault(self, fault: FetchFault, detail: str) -> Outcome:
        if fault is FetchFault.ADDRESS_REFUSED:
            return self.refused(fault.value, detail)
        if fault.transient:
            return self._failing(fault.value, detail=detail)
        seconds = self._pack.recrawl.max_interval_seconds
        return self._kept(PageState.FAILING, fault.value, seconds, detail=detail)

    def _failing(self, reason: str, **told: Any) -> Outcome:
        failures = self._target.failures + 1
        return self._kept(PageState.FAILING, reason, backoff(failures), failures=failures, **told)

    def _excluded(
        self, reason: Reason, answer: FetchAnswer, *, found: Any = (), **told: Any
    ) -> Outcome:
        excluded = self._without_document(
            PageState.EXCLUDED, reason.value, self._calmly(), status=answer.status, **told
        )
        return Outcome(visit=excluded.visit, found=found)

    def _without_document(
        self, state: PageState, reason: str, seconds: float | None, **told: Any
    ) -> Outcome:
        return Outcome(
            visit=Visited(
                target=self._target,
                state=state,
                reason=reason,
                next_due_seconds=seconds,
                interval_seconds=seconds or 0.0,
                removed=bool(self._target.content_hash),
                **told,
            )
        )

    def _kept(self, state: PageState, reason: str, seconds: float, **told: Any) -> Outcome:
        """Leave the document, if there is one, as it is."""
        target = self._target
        kept: dict[str, Any] = {
            "etag": target.etag,
            "last_modified": target.last_modified,
            "content_hash": target.content_hash,
            "document_id": target.url_key if target.content_hash else "",
            "interval_seconds": target.interval_seconds,
        }
        return Outcome(
            visit=Visited(
                target=target,
                state=state,
                reason=reason,
                next_due_seconds=seconds,
                **(kept | told),
            )
        )

    def _interval(self, *, changed: bool) -> float:
        return next_interval(self._target.interval_seconds, self._pack.recrawl, changed=changed)

    def _calmly(self) -> float:
        """When to look again at a page without news."""
        return self._interval(changed=False)


def _validators(answer: FetchAnswer) -> dict[str, Any]:
    headers = answer.headers
    return {
        "status": answer.status,
        "etag": headers.get("etag", "")[:1_000],
        "last_modified": headers.get("last-modified", "")[:100],
    }
