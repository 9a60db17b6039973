"""The demo's story: seed, crawl, search, change, search again."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping

from indexer.search.port import SearchIndex, SearchQuery, SearchResult
from shared.errors import DependencyError, WorkerSuiteError
from workers.child import Child
from workers.demo_report import Figures, Report
from workers.example_site import CHANGED, NEW_WORD, REMOVED, ExampleSite
from workers.progress import Observer, Progress

_PATIENCE_SECONDS = 90.0
_EXAMPLE_SEARCH = "lentil soup"


class DemoSteps:
    """Runs the steps and keeps the figures."""

    def __init__(
        self,
        report: Report,
        environment: Mapping[str, str],
        started: float,
        url: str,
        site: ExampleSite | None,
        search_text: str | None,
    ) -> None:
        """`started` is a reading of the wall clock; `url` is empty for the example site."""
        self._report = report
        self._environment = {**os.environ, **environment}
        self._started = started
        self._site = site
        self._url = site.url if site else url
        self._search_text = search_text
        self._figures = Figures()

    def figures(self, now: float) -> Figures:
        """Return the figures, the demo having ended now."""
        self._figures.seconds_total = round(now - self._started, 2)
        return self._figures

    async def run(self, observer: Observer, index: SearchIndex, crawler: Child) -> None:
        """Tell the whole story. Raises DependencyError when it comes to no good end."""
        settled = await self._crawl(observer, crawler)
        self._figures.pages, self._figures.documents = settled.answered, settled.indexed
        await self._search(observer, index)
        if self._site is not None:
            await self._follow_changes(observer, index, self._site)

    async def _crawl(self, observer: Observer, crawler: Child) -> Progress:
        self._report.step(f"Crawling: worker-crawler seed {self._url}")
        begun = time.monotonic()
        await self._command("seed", self._url)
        settled = await observer.settle(self._report.moving, _PATIENCE_SECONDS)
        self._report.crawled(await observer.outcomes(), settled, time.monotonic() - begun)
        self._report.links_left_out(await crawler.metrics())
        if not settled.documents:
            raise DependencyError(
                "\n  ".join(["nothing could be stored", *await observer.complaints()])
            )
        return settled

    async def _search(self, observer: Observer, index: SearchIndex) -> None:
        text = self._search_text or (
            _EXAMPLE_SEARCH if self._site else await observer.title_of_one()
        )
        self._report.step(f'Searching: worker-indexer search "{text}"')
        result = await _find(index, text)
        self._figures.seconds = round(time.time() - self._started, 2)
        self._figures.hits = result.total
        self._report.found(text, result)

    async def _follow_changes(
        self, observer: Observer, index: SearchIndex, site: ExampleSite
    ) -> None:
        self._report.step("Changing one page, removing another: worker-crawler recrawl --all")
        site.change_one()
        site.remove_one()
        begun = time.monotonic()
        await self._command("recrawl", "--all")
        await observer.settle(self._report.moving, _PATIENCE_SECONDS)
        self._report.unchanged(await observer.outcomes())
        self._report.line(f"Crawl and index settled again after {time.monotonic() - begun:.1f} s.")
        await self._expect(index, NEW_WORD, site.address_of(CHANGED), there=True)
        await self._expect(index, REMOVED.replace("-", " "), site.address_of(REMOVED), there=False)

    async def _expect(self, index: SearchIndex, text: str, url: str, *, there: bool) -> None:
        result = await _find(index, text)
        if any(hit.body.get("url") == url for hit in result.hits) is not there:
            raise WorkerSuiteError(f"the index did not follow: see the search for {text!r}")
        said = "now finds the changed page" if there else "no longer finds the removed page"
        self._report.line(f'"{text}" {said}, {url}')

    async def _command(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "crawler", *arguments),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            said = output.decode(errors="replace").strip()
            raise DependencyError(f"worker-crawler {' '.join(arguments)} failed: {said}")


async def _find(index: SearchIndex, text: str) -> SearchResult:
    return await index.search(SearchQuery(text=text))
