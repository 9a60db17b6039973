"""Sends bulks: bounded by bytes, a few in flight, each document with an outcome of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from elasticsearch import ApiError, AsyncElasticsearch, SerializationError

from indexer.search.elasticsearch.body_size import FIRST_BYTES, BodySize
from indexer.search.elasticsearch.bulk_body import (
    BulkLines,
    bodies,
    bulk_lines,
    refusal_lines,
)
from indexer.search.elasticsearch.bulk_call import BulkCall
from indexer.search.elasticsearch.bulk_outcome import overloaded, words_of
from indexer.search.elasticsearch.connection import translated
from indexer.search.port import IndexWrite, Outcome, WriteOutcome
from shared.errors import DependencyError
from shared.observability.logs import get_logger

log = get_logger(__name__)

MAX_IN_FLIGHT = 4
_HALVED = (400, 413)
"""A body that is malformed, or too large."""
_TOO_MUCH = (413, 429)

OnBulk = Callable[[int, float], None]
"""Told the bytes of each bulk, and the seconds until its answer."""


class BulkWriter:
    """Writes batches through write aliases."""

    def __init__(
        self,
        client: AsyncElasticsearch,
        on_bulk: OnBulk,
        *,
        body_bytes: int = FIRST_BYTES,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._client = client
        self._on_bulk = on_bulk
        self._size = BodySize(body_bytes)
        self._slots = asyncio.Semaphore(max_in_flight)

    async def write(
        self, batch: Sequence[IndexWrite], aliases: Sequence[str]
    ) -> Sequence[WriteOutcome]:
        """Write each document through every alias, the live generation's first.

        Raises ConnectionLostError when the server cannot be reached, DependencyError when it does
        not let us write.
        """
        call = BulkCall(copies=len(aliases), outcomes=[None] * len(batch))
        lines = []
        for position, write in enumerate(batch):
            try:
                lines.append(bulk_lines(position, write, aliases))
            except ValueError as error:
                call.outcomes[position] = WriteOutcome(Outcome.REFUSED, str(error))
        await self._send_all(lines, call)
        if call.beside:
            await self._mark(batch, aliases, call)
        return call.decided()

    async def _mark(
        self, batch: Sequence[IndexWrite], aliases: Sequence[str], call: BulkCall
    ) -> None:
        """Keep refusals against the generations that refused, so that none of them is swapped in.

        A document whose mark could not be written is to be written again.
        """
        marks = BulkCall(copies=1, outcomes=[None] * len(call.beside))
        lines = [
            refusal_lines(number, batch[each.position], aliases[each.copy], each.reason)
            for number, each in enumerate(call.beside)
        ]
        await self._send_all(lines, marks)
        first = call.beside[0]
        log.warning(
            "generation_refused_documents",
            alias=aliases[first.copy],
            documents=len(call.beside),
            first_reason=first.reason,
        )
        for each, mark in zip(call.beside, marks.decided(), strict=True):
            if mark.outcome not in (Outcome.WRITTEN, Outcome.SUPERSEDED):
                again = WriteOutcome(Outcome.TRY_AGAIN, f"mark of a refusal: {mark.reason}")
                call.outcomes[each.position] = again

    async def _send_all(self, lines: Sequence[BulkLines], call: BulkCall) -> None:
        sent = [self._send(body, call) for body in bodies(lines, self._size.bytes)]
        # Every body is awaited, also beside one that failed: none goes on unwatched.
        for result in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _send(self, body: Sequence[BulkLines], call: BulkCall) -> None:
        try:
            items = await self._post(b"".join(line.data for line in body))
        except SerializationError as error:
            call.all(body, WriteOutcome(Outcome.TRY_AGAIN, f"unreadable answer: {error}"))
        except ApiError as error:
            await self._refused(error, body, call)
        else:
            self._adapt(items, body)
            call.match(items, body)

    def _adapt(self, items: Sequence[Any], body: Sequence[BulkLines]) -> None:
        if overloaded(items):
            self._size.overloaded()
        else:
            self._size.taken(sum(len(line.data) for line in body))

    async def _post(self, data: bytes) -> list[Any]:
        async with self._slots:
            started = time.perf_counter()
            with translated():
                answer = await self._client.perform_request(
                    "POST",
                    "/_bulk",
                    params={
                        "require_alias": "true",
                        "filter_path": "items.*.status,items.*.error",
                    },
                    headers={
                        "accept": "application/json",
                        "content-type": "application/x-ndjson",
                    },
                    body=data,
                )
            self._on_bulk(len(data), time.perf_counter() - started)
        items = answer.body.get("items") if isinstance(answer.body, dict) else None
        return items or []

    async def _refused(self, error: ApiError, body: Sequence[BulkLines], call: BulkCall) -> None:
        """Deal with an answer that is about the whole body."""
        status = error.status_code
        details = error.body.get("error") if isinstance(error.body, dict) else error.body
        reason = words_of(details, status)
        if status in _TOO_MUCH:
            self._size.overloaded()
        if status in _HALVED and len(body) > 1:
            # One bad document spoils the body: halve it until the bad one is alone.
            middle = len(body) // 2
            await self._send(body[:middle], call)
            await self._send(body[middle:], call)
        elif status in _HALVED:
            call.all(body, WriteOutcome(Outcome.REFUSED, reason))
        elif status == 429 or status >= 500:
            call.all(body, WriteOutcome(Outcome.TRY_AGAIN, reason))
        else:
            raise DependencyError(f"Elasticsearch refuses to be written to: {reason}") from error
