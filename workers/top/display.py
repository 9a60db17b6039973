"""A look, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from workers.screen import table
from workers.top.looking import Look


def shown(look: Look) -> RenderableType:
    """Return the tables of one look."""
    parts: list[RenderableType] = [_workers(look), Text(), _queues(look)]
    for name, why in sorted(look.silent.items()):
        parts.append(Text(f"{name} does not answer: {why}", style="yellow"))
    return Group(*parts)


def _workers(look: Look) -> Table:
    columns = ("worker", "slots", "hosts at rest", "job type", "jobs/s", "failed/s", "dead/s")
    return table((*columns, "p50", "p99"), _worker_rows(look))


def _worker_rows(look: Look) -> Iterator[tuple[str, ...]]:
    for worker in look.workers:
        resting = "" if worker.hosts_at_rest is None else f"{worker.hosts_at_rest:.1f}"
        head = (worker.where, f"{worker.busy}/{worker.slots}", resting)
        for each in worker.types:
            yield (
                *head,
                each.job_type,
                f"{each.per_second:,.1f}",
                f"{each.failures_per_second:,.1f}",
                f"{each.dead_per_second:,.1f}",
                _at_most(each.p50_seconds),
                _at_most(each.p99_seconds),
            )
            head = ("", "", "")
        if not worker.types:
            yield (*head, "", "", "", "", "", "")


def _queues(look: Look) -> Table:
    rows = (
        (
            name,
            *(f"{n:,}" for n in (depth.inbox, depth.ready, depth.delayed, depth.leased)),
            f"{depth.dead:,}",
            "" if (age := depth.oldest_ready_age_seconds) is None else f"{age:.1f} s",
        )
        for name, depth in look.queues.items()
    )
    return table(("queue", "inbox", "ready", "delayed", "leased", "dead", "oldest ready"), rows)


def _at_most(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return "> 10 s" if seconds == float("inf") else f"<= {seconds * 1000:,.0f} ms"
