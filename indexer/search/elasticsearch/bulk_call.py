"""One batch on its way to the server, and what became of each document of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from indexer.search.elasticsearch.bulk_body import BulkLines
from indexer.search.elasticsearch.bulk_outcome import document_outcome, item_outcome
from indexer.search.port import Outcome, WriteOutcome


class Beside(msgspec.Struct, frozen=True):
    """A document that a generation other than the live one refused."""

    position: int
    copy: int
    reason: str


class BulkCall(msgspec.Struct, kw_only=True):
    """Collects the answers to the bodies of one batch."""

    copies: int
    """How many generations each document is written to; the live one's answer comes first."""
    outcomes: list[WriteOutcome | None]
    beside: list[Beside] = []

    def match(self, items: Sequence[Any], body: Sequence[BulkLines]) -> None:
        """Match the answer to documents by position."""
        copies = self.copies
        if len(items) != len(body) * copies:
            short = f"{len(items)} answers to {len(body) * copies} writes"
            self.all(body, WriteOutcome(Outcome.TRY_AGAIN, short))
            return
        for number, line in enumerate(body):
            answers = [item_outcome(item) for item in items[number * copies :][:copies]]
            self.outcomes[line.position] = document_outcome(answers)
            self.beside += [
                Beside(line.position, copy, answer.reason)
                for copy, answer in enumerate(answers)
                if copy and answer.outcome is Outcome.REFUSED
            ]

    def all(self, body: Sequence[BulkLines], outcome: WriteOutcome) -> None:
        """Give all documents of a body one outcome."""
        for line in body:
            self.outcomes[line.position] = outcome

    def decided(self) -> list[WriteOutcome]:
        """Return the outcomes, in order; all are there once all bodies were answered."""
        return [outcome for outcome in self.outcomes if outcome is not None]
