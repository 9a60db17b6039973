"""Chooses the search index adapter; imports only the one that is chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from indexer.search.port import SearchIndex
from indexer.settings import IndexerSettings
from shared.errors import ConfigError
from shared.extras import install


def create_index(settings: IndexerSettings, on_bulk: Callable[[int, float], None]) -> SearchIndex:
    """Return the index that the settings name, not opened.

    `on_bulk` is told the bytes and seconds of each request that writes to a server.
    Raises ConfigError when a setting is missing or the library of the backend is not installed.
    """
    try:
        if settings.backend() == "elasticsearch":
            return _elasticsearch(settings, on_bulk)
        from indexer.search.tantivy.index import TantivyIndex

        return TantivyIndex(Path(settings.tantivy_dir))
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"SEARCH_BACKEND={settings.backend()} needs the package {error.name}:"
            f" {install(settings.backend())}"
        ) from error


def adapter_of(settings: IndexerSettings) -> str:
    """Name the module of the adapter that is chosen, for a process that imports it before it
    forks."""
    return f"indexer.search.{settings.backend()}.index"


def _elasticsearch(settings: IndexerSettings, on_bulk: Callable[[int, float], None]) -> SearchIndex:
    if not settings.elasticsearch_url:
        raise ConfigError("SEARCH_BACKEND=elasticsearch needs ELASTICSEARCH_URL, which is not set")
    from indexer.search.elasticsearch.index import ElasticsearchIndex

    return ElasticsearchIndex(
        settings.elasticsearch_url,
        settings.index_name,
        on_bulk,
        shards=settings.index_shards,
        analyzer=settings.index_analyzer,
    )
