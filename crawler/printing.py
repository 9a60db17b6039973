"""Reports in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from crawler.check import Step
from crawler.commands import RecrawlReport, Refused, SeedReport
from crawler.frontier.port import FrontierStatus
from crawler.reasons import explain

VALUE_SHOWN = 300
"""Characters of one figure of `check` that people are shown."""


def seed_lines(report: SeedReport) -> Iterator[str]:
    """Say what became of seeds."""
    yield f"{report.new} new, {report.known} already known."


def recrawl_lines(report: RecrawlReport) -> Iterator[str]:
    """Say how many pages are due."""
    unknown = f" {report.unknown} are not known; seed them." if report.unknown else ""
    yield f"{report.due} pages are due now; their hosts' delays hold.{unknown}"


def refused_lines(refused: Sequence[Refused]) -> Iterator[str]:
    """Name each URL that was refused."""
    for each in refused:
        yield f"{each.where}: refused: {each.detail}"


def status_lines(status: FrontierStatus) -> Iterator[str]:
    """Say where the pages stand."""
    yield f"Pages: {sum(status.pages.values())} known on {status.hosts} hosts"
    for state, pages in sorted(status.pages.items()):
        yield f"  {pages:>9}  {state}"
    if status.reasons:
        yield "By reason of their last visit:"
    for reason, pages in sorted(status.reasons.items(), key=lambda item: -item[1]):
        yield f"  {pages:>9}  {reason}: {explain(reason)}"
    yield (
        f"Due now: {status.due_now}; being fetched: {status.in_flight}; "
        f"hosts waiting for their delay: {status.hosts_waiting}"
    )
    if status.next_due_seconds is not None:
        yield f"The next page becomes due in {status.next_due_seconds:.0f} s."


def check_lines(steps: Sequence[Step]) -> Iterator[str]:
    """Tell the steps of `check`, one a line, their figures below."""
    for step in steps:
        mark = {True: "ok  ", False: "STOP", None: "    "}[step.passed]
        reason = f" [{step.reason}]" if step.reason else ""
        yield f"{mark} {step.name}: {step.words}{reason}"
        for name, value in step.facts.items():
            yield f"       {name}: {_short(value)}"


def _short(value: Any) -> str:
    """One line of a value; `--json` has all of it."""
    line = " ".join(str(value).split())
    return line if len(line) <= VALUE_SHOWN else f"{line[:VALUE_SHOWN]} ..."
