"""Which environment variables would leak a user's settings into a test."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import msgspec

from shared.config import describe
from shared.settings import WorkerSettings

_MODULES = ("crawler.settings", "indexer.settings", "sync.settings", "workers.settings")
_PREFIXES = ("REDIS_", "PG", "DATABASE_", "ELASTICSEARCH_", "CRAWLER_", "INDEXER_", "SYNC_")


def is_setting(name: str) -> bool:
    """Return whether the suite, or a client library in it, reads this variable."""
    return name in _SETTINGS or name.startswith(_PREFIXES)


def _settings_types() -> Iterator[type[msgspec.Struct]]:
    yield WorkerSettings
    for name in _MODULES:
        if importlib.util.find_spec(name):
            members = vars(importlib.import_module(name)).values()
            yield from (m for m in members if isinstance(m, type) and issubclass(m, msgspec.Struct))


_SETTINGS = frozenset(info.env for settings in _settings_types() for info in describe(settings))
