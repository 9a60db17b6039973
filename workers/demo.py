"""`workers demo`: crawl a site, index it, search it, change it, and see the index follow."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

from rich.console import Console

from shared.errors import ConfigError
from workers.bootstrap import open_observer
from workers.demo_pack import write_pack
from workers.demo_report import Report
from workers.demo_steps import DemoSteps
from workers.example_site import ExampleSite
from workers.screen import nearby
from workers.servers import Place, Servers
from workers.settings import SuiteSettings
from workers.suite import Suite, worker_processes

_MARK = ".workers-demo"
"""Lies in a directory that a demo made, and that the next one may empty."""
_START_SECONDS = 60.0
_GRACE_SECONDS = 15.0


def run(
    console: Console,
    *,
    url: str | None,
    pages: int,
    data_dir: str | None,
    started_at: float | None,
    search_text: str | None,
) -> None:
    """Run the demo; its last line is for programs.

    Raises ConfigError for a wrong option, DependencyError when a server or worker does not
    start, or when crawl and index do not settle.
    """
    started = started_at if started_at is not None else time.time()
    directory = _emptied(Path(data_dir or "var/demo").expanduser().resolve())
    settings = SuiteSettings(data_dir=str(directory), crawler_port=0, indexer_port=0, sync_port=0)
    site = None
    if url is None:
        site = ExampleSite(directory)
    else:
        write_pack(directory / "packs", url, pages)
    report = Report(console)
    report.step("Starting servers and workers")
    servers = Servers(settings)
    try:
        servers.start()
        environment = servers.environment() | (site.environment() if site else {})
        steps = DemoSteps(report, environment, started, url or "", site, search_text)
        asyncio.run(_demo(settings, servers, environment, site, steps, report))
        words = "winter soup" if site else "words to find"
        report.next_steps(servers.write_environment(), directory, words)
    finally:
        servers.stop()
    console.print(steps.figures(time.time()).line(), soft_wrap=True)


async def _demo(
    settings: SuiteSettings,
    servers: Servers,
    environment: dict[str, str],
    site: ExampleSite | None,
    steps: DemoSteps,
    report: Report,
) -> None:
    workers = worker_processes(settings, environment)
    suite = Suite(workers, tell=report.line)
    # A crawler asks for the seeds of its packs as soon as it runs: the site is there before.
    web = Suite([site.process] if site else [], tell=report.line)
    stop = asyncio.Event()
    try:
        await web.start(_START_SECONDS, stop)
        await suite.start(_START_SECONDS, stop)
        children = [*suite.children, *web.children]
        ports = [Place(each.name, f"port {each.port}", nearby(each.log)) for each in children]
        report.places([*servers.places(), *ports])
        async with web.kept_running(), suite.kept_running():
            async with open_observer(environment) as (observer, index):
                await steps.run(observer, index, crawler=workers[0])
    finally:
        await suite.stop(_GRACE_SECONDS)
        await web.stop(_GRACE_SECONDS)


def _emptied(directory: Path) -> Path:
    if directory.exists() and any(directory.iterdir()):
        if not (directory / _MARK).exists():
            raise ConfigError(
                f"{directory} holds something that no demo made; choose an empty --data-dir"
            )
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _MARK).touch()
    return directory
