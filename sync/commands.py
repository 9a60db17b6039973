"""What the commands beside `run` do, apart from flags and printing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from shared.contracts.source_definition import SourceDefinition
from sync.bootstrap import opened_database, outbox_of
from sync.settings import SyncSettings
from sync.source_file import load_source
from sync.triggers.installer import Installer


class Installed(msgspec.Struct, frozen=True):
    """A source that was installed, and how many keys went into the outbox by it."""

    source: str
    backfilled: int


class SourceStatus(msgspec.Struct, frozen=True):
    """A user's source. One that is not backfilled must be installed again."""

    source: str
    tables: Sequence[str]
    backfilled: bool


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How far behind the queue is."""

    outbox_depth: int
    oldest_age_seconds: float
    last_relay_seconds_ago: float | None
    """None when nothing was relayed within the replay window."""
    sources: Sequence[SourceStatus]


async def plan(settings: SyncSettings, files: Sequence[Path]) -> list[str]:
    """Return the statements that installing these files would run."""
    definitions = [load_source(file) for file in files]
    async with opened_database(settings) as database:
        plans = [await Installer(database).plan(definition) for definition in definitions]
    return [statement for each in plans for statement in each.statements()]


async def install(settings: SyncSettings, files: Sequence[Path]) -> list[Installed]:
    """Install the sources of these files; all files are read before the first table is touched."""
    definitions = [load_source(file) for file in files]
    async with opened_database(settings) as database:
        installer = Installer(database)
        return [
            Installed(definition.source, await installer.install(definition))
            for definition in definitions
        ]


async def uninstall(settings: SyncSettings, sources: Sequence[str]) -> None:
    """Remove sources, in their order."""
    async with opened_database(settings) as database:
        for source in sources:
            await Installer(database).uninstall(source)


async def status(settings: SyncSettings) -> Status:
    """Return what waits, and which sources there are."""
    async with opened_database(settings) as database:
        outbox = outbox_of(database)
        depth = await outbox.depth()
        last_relay = await outbox.last_relay_seconds_ago()
        installed = await Installer(database).installed()
    return Status(
        outbox_depth=depth.depth,
        oldest_age_seconds=depth.oldest_age_seconds,
        last_relay_seconds_ago=last_relay,
        sources=[_source_status(definition, done) for definition, done in installed],
    )


def _source_status(definition: SourceDefinition, backfilled: bool) -> SourceStatus:
    tables = [definition.table, *(child.table for child in definition.children)]
    return SourceStatus(definition.source, tables, backfilled)
