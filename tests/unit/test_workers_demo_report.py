"""What the demo prints, and the copy of the example site that it changes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from crawler.metrics import CrawlerMetrics
from examples.recipes.site.__main__ import DATA
from examples.recipes.site.recipes import Cookbook
from indexer.search.port import Hit, SearchResult
from shared.contracts.domain_pack_loader import load_pack
from shared.documents.port import DocumentKey
from shared.errors import ConfigError
from shared.observability.exposition import expose
from shared.observability.metrics import MetricsTable
from workers import example_site
from workers.demo_report import Figures, Report
from workers.example_site import CHANGED, NEW_WORD, REMOVED, ExampleSite
from workers.progress import Outcome, Progress


def printed() -> tuple[Report, io.StringIO]:
    output = io.StringIO()
    return Report(Console(file=output, width=160)), output


def progress(**counts: int) -> Progress:
    still = {
        "visited": 11,
        "answered": 9,
        "open": 0,
        "documents": 7,
        "outbox": 0,
        "jobs": 0,
        "indexed": 7,
    }
    return Progress(**{**still, **counts})


def test_what_was_left_out_is_listed_with_its_code_and_an_example() -> None:
    report, output = printed()
    outcomes = [
        Outcome("fetched", "ok", 7, "http://h/"),
        Outcome("excluded", "noindex", 2, "http://h/[b]diary[/b]"),
    ]

    report.crawled(outcomes, progress(), seconds=3.0)

    text = output.getvalue()
    assert "9 pages asked for in 3.0 s (3 a second), 7 pages stored" in text
    (line,) = [line for line in text.splitlines() if " noindex " in line]
    assert "asks not to be indexed" in line
    assert "http://h/[b]diary[/b]" in line, "text of the web must not be taken for markup"
    assert " ok " not in text


def test_hits_are_shown_with_title_and_address() -> None:
    report, output = printed()
    body = {"title": "Soup [red]", "url": "http://h/soup"}

    report.found("soup", SearchResult(4, [Hit(DocumentKey("documents", "1"), 2.5, body)]))

    assert '"soup": 4 documents' in output.getvalue()
    assert "2.50  Soup [red]  http://h/soup" in output.getvalue()


def test_the_last_line_is_for_programs() -> None:
    line = Figures(pages=3, documents=2, hits=1, seconds=1.5, seconds_total=2.5).line()

    name, _, data = line.partition(" ")
    assert (name, json.loads(data)) == (
        "DEMO",
        {"pages": 3, "documents": 2, "hits": 1, "seconds": 1.5, "seconds_total": 2.5},
    )


@pytest.mark.parametrize("waiting", ["open", "outbox", "jobs"])
def test_nothing_is_settled_while_something_is_on_its_way(waiting: str) -> None:
    assert progress().settled
    assert not progress(**{waiting: 1}).settled
    assert not progress(indexed=6).settled
    assert not progress(visited=0).settled


def test_the_demo_changes_a_copy_of_the_example_and_not_the_example(tmp_path: Path) -> None:
    site = ExampleSite(tmp_path)
    copied, original = Cookbook(tmp_path / "site"), Cookbook(DATA)
    assert not any(NEW_WORD in recipe.story for recipe in copied.recipes().values())

    site.change_one()
    site.remove_one()

    assert NEW_WORD in copied.recipes()[CHANGED].story
    assert set(original.recipes()) - set(copied.recipes()) == {REMOVED}
    assert NEW_WORD not in original.recipes()[CHANGED].story


def test_links_that_were_not_followed_are_told_as_the_crawler_counted_them() -> None:
    table = MetricsTable()
    metrics = CrawlerMetrics(table)
    metrics.links_left_out["too_deep"].add(3)
    report, output = printed()

    report.links_left_out(expose(table).decode())

    (line,) = [line for line in output.getvalue().splitlines() if "too_deep" in line]
    assert line.split()[0] == "3"
    assert "Too many links from a seed." in line
    assert "nofollow" not in output.getvalue(), "what did not happen is not told"


def test_without_the_examples_the_demo_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example_site, "EXAMPLE", tmp_path / "missing")

    with pytest.raises(ConfigError, match="give --url"):
        ExampleSite(tmp_path)


def test_the_copied_pack_seeds_the_site_where_it_is_served(tmp_path: Path) -> None:
    site = ExampleSite(tmp_path)

    assert load_pack(site.packs / "recipes.yaml").seeds == [site.url]
