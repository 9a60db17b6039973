"""Sends bulks: bounded by bytes, a few in flight, each document with an outcome of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from elasticsearch import ApiError, AsyncElasticsearch, SerializationError

from indexer.search.elasticsearch.bulk_body import BulkLines, bodies, bulk_lines
from indexer.search.elasticsearch.bulk_outcome import document_outcome, item_outcome, words_of
from indexer.search.elasticsearch.connection import translated
from indexer.search.port import IndexWrite, Outcome, WriteOutcome
from shared.errors import DependencyError
from shared.observability.logs import get_logger

log = get_logger(__name__)

MAX_BODY_BYTES = 5 * 1024 * 1024
MAX_IN_FLIGHT = 4
_TOO_MUCH_OR_MALFORMED = (400, 413)

OnBulk = Callable[[int, float], None]
"""Told the bytes of each bulk, and the seconds until its answer."""


class BulkWriter:
    """Writes batches through write aliases."""

    def __init__(
        self,
        client: AsyncElasticsearch,
        on_bulk: OnBulk,
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._client = client
        self._on_bulk = on_bulk
        self._max_body_bytes = max_body_bytes
        self._slots = asyncio.Semaphore(max_in_flight)

    async def write(
        self, batch: Sequence[IndexWrite], aliases: Sequence[str]
    ) -> Sequence[WriteOutcome]:
        """Write each document through every alias, the live generation's first.

        Raises ConnectionLostError when the server cannot be reached, DependencyError when it does
        not let us write.
        """
        outcomes: list[WriteOutcome | None] = [None] * len(batch)
        lines = []
        for position, write in enumerate(batch):
            try:
                lines.append(bulk_lines(position, write, aliases))
            except ValueError as error:
                outcomes[position] = WriteOutcome(Outcome.REFUSED, str(error))
        sent = [
            self._send(body, len(aliases), outcomes) for body in bodies(lines, self._max_body_bytes)
        ]
        # Every body is awaited, also beside one that failed: none goes on unwatched.
        for result in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        return [outcome for outcome in outcomes if outcome is not None]

    async def _send(
        self, body: Sequence[BulkLines], copies: int, outcomes: list[WriteOutcome | None]
    ) -> None:
        try:
            items = await self._post(b"".join(line.data for line in body))
        except SerializationError as error:
            self._all(
                body, outcomes, WriteOutcome(Outcome.TRY_AGAIN, f"unreadable answer: {error}")
            )
        except ApiError as error:
            await self._refused(error, body, copies, outcomes)
        else:
            self._match(items, body, copies, outcomes)

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

    async def _refused(
        self,
        error: ApiError,
        body: Sequence[BulkLines],
        copies: int,
        outcomes: list[WriteOutcome | None],
    ) -> None:
        """Deal with an answer that is about the whole body."""
        status = error.status_code
        details = error.body.get("error") if isinstance(error.body, dict) else error.body
        reason = words_of(details, status)
        if status in _TOO_MUCH_OR_MALFORMED and len(body) > 1:
            # One bad document spoils the body: halve it until the bad one is alone.
            middle = len(body) // 2
            await self._send(body[:middle], copies, outcomes)
            await self._send(body[middle:], copies, outcomes)
        elif status in _TOO_MUCH_OR_MALFORMED:
            self._all(body, outcomes, WriteOutcome(Outcome.REFUSED, reason))
        elif status == 429 or status >= 500:
            self._all(body, outcomes, WriteOutcome(Outcome.TRY_AGAIN, reason))
        else:
            raise DependencyError(f"Elasticsearch refuses to be written to: {reason}") from error

    def _match(
        self,
        items: Sequence[Any],
        body: Sequence[BulkLines],
        copies: int,
        outcomes: list[WriteOutcome | None],
    ) -> None:
        """Match the answer to documents by position."""
        if len(items) != len(body) * copies:
            short = f"{len(items)} answers to {len(body) * copies} writes"
            self._all(body, outcomes, WriteOutcome(Outcome.TRY_AGAIN, short))
            return
        for number, line in enumerate(body):
            answers = [item_outcome(item) for item in items[number * copies :][:copies]]
            outcomes[line.position] = document_outcome(answers)
            self._log_beside(answers)

    @staticmethod
    def _log_beside(answers: Sequence[WriteOutcome]) -> None:
        for answer in answers[1:]:
            if answer.outcome is Outcome.REFUSED and answers[0].outcome is not Outcome.REFUSED:
                log.warning("generation_refused_document", reason=answer.reason)

    @staticmethod
    def _all(
        body: Sequence[BulkLines], outcomes: list[WriteOutcome | None], outcome: WriteOutcome
    ) -> None:
        for line in body:
            outcomes[line.position] = outcome
