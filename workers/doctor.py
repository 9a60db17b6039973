"""`workers doctor`: what the workers depend on, whether it is there, and whether it keeps data."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.markup import escape

from shared.embedded.postgres import wheel_programs
from shared.embedded.valkey import wheel_program
from shared.errors import DependencyError
from workers.checks import machine
from workers.checks.finding import Check, Checkup
from workers.settings import SuiteSettings

_SIGNS = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "error": "[red]error  [/]"}


async def examine(settings: SuiteSettings) -> list[Checkup]:
    """Check everything that these settings name, all at once."""
    return list(await asyncio.gather(*(check() for check in _checks(settings))))


def exit_code(checkups: Sequence[Checkup]) -> int:
    """0 when nothing is wrong (warnings allowed), 3 when a dependency cannot be used."""
    wrong = any(checkup.level == "error" for checkup in checkups)
    return DependencyError.exit_code if wrong else 0


def as_json(checkups: Sequence[Checkup]) -> bytes:
    """Return all findings for programs."""
    return msgspec.json.encode(
        {
            "healthy": exit_code(checkups) == 0,
            "checks": [
                {**msgspec.structs.asdict(checkup), "level": checkup.level} for checkup in checkups
            ],
        }
    )


def show(console: Console, checkups: Sequence[Checkup]) -> None:
    """Print all findings for people, what to do about each below it."""
    for checkup in checkups:
        console.print(
            f"[bold]{checkup.name}[/] {escape(checkup.version)} at {escape(checkup.where)}"
        )
        for finding in checkup.findings:
            console.print(f"  {_SIGNS[finding.level]} {escape(finding.what)}")
            if finding.level != "ok" and finding.advice:
                console.print(f"          -> {escape(finding.advice)}")


def _checks(settings: SuiteSettings) -> list[Check]:
    return [
        lambda: machine.check(settings.directory()),
        lambda: _redis(settings.redis()),
        *([lambda: _broker(settings.queue_url)] if settings.queue_url else ()),
        lambda: _postgres(settings.database_url),
        lambda: _index(settings.elasticsearch_url),
    ]


# Each check is imported only when its server is named, for its library may not be installed.
async def _redis(url: str) -> Checkup:
    if not url:
        return await machine.embedded("Valkey", "REDIS_URL", wheel_program)
    from workers.checks import redis_server

    return await redis_server.check(url)


async def _broker(url: str) -> Checkup:
    scheme = url.partition("://")[0]
    if scheme.startswith(("redis", "unix")):
        return await _redis(url)
    if scheme.startswith("postgres"):
        return await _postgres(url)
    from workers.checks import broker

    return await broker.check(url)


async def _postgres(url: str) -> Checkup:
    if not url:
        return await machine.embedded("Postgres", "DATABASE_URL", wheel_programs)
    from workers.checks import postgres_server

    return await postgres_server.check(url)


async def _index(url: str) -> Checkup:
    if not url:
        return await machine.embedded_index()
    from workers.checks import elasticsearch_server

    return await elasticsearch_server.check(url)
