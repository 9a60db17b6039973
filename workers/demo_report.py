"""What the demo tells: a short report that a person likes to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from crawler.reasons import explain
from indexer.search.port import Hit, SearchResult
from workers.progress import Outcome, Progress
from workers.screen import nearby, own_program, table
from workers.servers import Place

_STORED = ("ok", "unchanged", "not_modified")


class Figures(msgspec.Struct, kw_only=True):
    """The demo's last line."""

    pages: int = 0
    """Pages that were asked for and answered, redirects and errors included."""
    documents: int = 0
    """Documents in the index after the first crawl."""
    hits: int = 0
    """What the first search found."""
    seconds: float = 0.0
    """From the beginning (installation included, when --started-at says when) to the first hit."""
    seconds_total: float = 0.0
    """From the beginning to the end of the demo."""

    def line(self) -> str:
        """Return the line for programs."""
        return "DEMO " + json.dumps(msgspec.structs.asdict(self))


class Report:
    """Prints the demo's steps on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, text: str) -> None:
        """Announce what happens now."""
        self._console.print(f"\n[bold]{escape(text)}[/]")

    def line(self, text: str) -> None:
        """Say one thing about the present step."""
        self._console.print(f"  {escape(text)}")

    def places(self, places: Sequence[Place]) -> None:
        """Say what runs where."""
        cells = [(place.name, place.where, place.data) for place in places]
        self._table(("what", "where", "data or log"), cells)

    def moving(self, now: Progress) -> None:
        """Show progress on a terminal; elsewhere it would only fill the log."""
        if self._console.is_terminal:
            text = f"  {now.answered} asked, {now.documents} stored, {now.indexed} indexed"
            self._console.print(f"{text:<60}", end="\r")

    def crawled(self, outcomes: Sequence[Outcome], now: Progress, seconds: float) -> None:
        """Say what was crawled and what was left out, with reason codes."""
        stored = sum(each.pages for each in outcomes if each.reason in _STORED)
        asked = now.answered / seconds if seconds else 0.0
        self.line(
            f"{now.answered} pages asked for in {seconds:.1f} s ({asked:.0f} a second), "
            f"{stored} pages stored, {now.indexed} documents in the index."
        )
        left_out = [each for each in outcomes if each.reason not in _STORED and each.reason]
        if left_out:
            self.line("Left out, and why:")
            rows = [
                (str(each.pages), each.reason, explain(each.reason), each.example)
                for each in left_out
            ]
            self._table(("", "code", "why", "for example"), rows)

    def links_left_out(self, metrics: str) -> None:
        """Say which links got no row, by the metrics of worker-crawler: other sites, traps."""
        rows = [
            (f"{sample.value:.0f}", sample.labels["reason"], explain(sample.labels["reason"]))
            for family in text_string_to_metric_families(metrics)
            for sample in family.samples
            if sample.name == "crawler_links_left_out_total" and sample.value
        ]
        if rows:
            self.line("Links that were not followed, and why:")
            self._table(("", "code", "why"), rows)

    def found(self, text: str, result: SearchResult) -> None:
        """Show the best hits of a search."""
        self.line(f'"{text}": {result.total} documents, the best first')
        for hit in result.hits[:3]:
            self.line(f"  {hit.score:6.2f}  {title(hit)}  {hit.body.get('url', '')}")

    def unchanged(self, outcomes: Sequence[Outcome]) -> None:
        """Say how many pages a recrawl found as they were."""
        same = {each.reason: each.pages for each in outcomes}
        self.line(
            f"{same.get('not_modified', 0)} pages were answered with 304, "
            f"{same.get('unchanged', 0)} had the same content, {same.get('ok', 0)} had changed."
        )

    def next_steps(self, environment: Path, data: Path, words: str) -> None:
        """Say where the data is, and what to type next; `words` are something to search for."""
        self.step("What to type next")
        for command, meaning in (
            (f"{own_program('workers')} up --data-dir {nearby(data)}", "run this for good"),
            (f"source {nearby(environment)}", "in another terminal, to reach it"),
            (f'worker-indexer search "{words}"', "search"),
            ("worker-crawler status", "how far the crawl is, and why pages were left out"),
            ("SEED_SCOPE=host worker-crawler seed https://example.org/", "crawl another host"),
            ("workers doctor", "look at servers of your own before you use them"),
        ):
            self.line(f"{command:<57} {meaning}")

    def _table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._console.print(Padding(table(columns, rows), (0, 0, 0, 2), expand=False))


def title(hit: Hit) -> str:
    """Return what a person would call the document of a hit."""
    return str(hit.body.get("title") or hit.key.id)
