"""`workers config`: each setting of each command, its value, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import msgspec
from rich.console import Console

from shared.config import load, shown
from workers.screen import table

_SETTINGS = {
    "workers": ("workers.settings", "SuiteSettings"),
    "worker-crawler": ("crawler.settings", "CrawlerSettings"),
    "worker-indexer": ("indexer.settings", "IndexerSettings"),
    "worker-sync": ("sync.settings", "SyncSettings"),
}


class Row(msgspec.Struct, frozen=True):
    """One setting as it is now."""

    setting: str
    """Its name in the environment."""
    value: str
    """As text; a secret that is set is only said to be set."""
    origin: str


def collect(
    commands: Sequence[str], environ: Mapping[str, str], file: Path | None
) -> dict[str, list[Row]]:
    """Return the settings of these commands. Raises ConfigError for one that is not allowed."""
    found = {}
    for command in commands:
        module, name = _SETTINGS[command]
        loaded = load(getattr(import_module(module), name), flags={}, environ=environ, file=file)
        found[command] = [Row(*row) for row in shown(loaded)]
    return found


def as_json(listing: Mapping[str, list[Row]]) -> bytes:
    """Return the listing for programs."""
    return msgspec.json.encode(listing)


def show(console: Console, listing: Mapping[str, list[Row]]) -> None:
    """Print the listing for people."""
    for command, rows in listing.items():
        cells = [(row.setting, row.value, row.origin) for row in rows]
        console.print(table(("setting", "value", "from"), cells, title=command))
        console.print()
