"""Settings of worker-indexer."""

from __future__ import annotations

from typing import Annotated, Literal

from shared.config import setting
from shared.documents.port import DOCUMENTS_SOURCE
from shared.settings import WorkerSettings


class IndexerSettings(WorkerSettings, frozen=True, kw_only=True):
    """Where documents come from and where the index is; units are in the names."""

    metrics_port: Annotated[
        int, setting("Port for /metrics and /health; 0 picks a free one.", ge=0, le=65_535)
    ] = 9102
    queue_key: Annotated[
        str, setting("Queue of index_document and delete_document jobs.", min_length=1)
    ] = "indexer:jobs"
    default_source: Annotated[str, setting("Source of jobs that name none.", min_length=1)] = (
        DOCUMENTS_SOURCE
    )
    search_backend: Annotated[
        Literal["auto", "elasticsearch", "tantivy"],
        setting("auto: Elasticsearch when ELASTICSEARCH_URL is set, else the embedded Tantivy."),
    ] = "auto"
    elasticsearch_url: Annotated[
        str, setting("http(s):// URL of Elasticsearch 9, with the login in it.", secret=True)
    ] = ""
    index_name: Annotated[
        str,
        setting(
            "Alias that is searched in Elasticsearch; its generations are NAME-g000001 and so on.",
            pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$",
        ),
    ] = "documents"
    index_shards: Annotated[
        int, setting("Shards of each new generation in Elasticsearch.", ge=1, le=1024)
    ] = 1
    index_analyzer: Annotated[
        str, setting("Elasticsearch analyzer of text fields, for each new generation.")
    ] = "standard"
    tantivy_dir: Annotated[str, setting("Directory of the embedded index.", min_length=1)] = (
        "var/tantivy"
    )
    batch_size: Annotated[
        int, setting("How many documents one slot reconciles at once.", ge=1, le=5000)
    ] = 500
    linger_seconds: Annotated[float, setting("How long a batch waits to fill.", ge=0, le=5)] = 0.05

    def backend(self) -> str:
        """Return the search backend that is used."""
        if self.search_backend != "auto":
            return self.search_backend
        return "elasticsearch" if self.elasticsearch_url else "tantivy"
