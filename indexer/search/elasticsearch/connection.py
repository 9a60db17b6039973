"""The client: how it is made, how its errors are translated, what the server must be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import elastic_transport
from elasticsearch import ApiError, AsyncElasticsearch, SerializationError
from elasticsearch.serializer import OrjsonSerializer

from shared.errors import ConfigError, ConnectionLostError, DependencyError

REQUEST_TIMEOUT_SECONDS = 30.0
SUPPORTED_MAJOR = 9


def connect(url: str) -> AsyncElasticsearch:
    """Return a client. It never retries by itself: jobs do, and they know what was written.

    Raises ConfigError for a URL that is not complete.
    """
    try:
        return AsyncElasticsearch(
            url,
            serializer=OrjsonSerializer(),
            request_timeout=REQUEST_TIMEOUT_SECONDS,
            max_retries=0,
            retry_on_timeout=False,
        )
    except ValueError:
        # The client's own words would repeat the URL, and the password in it.
        raise ConfigError(
            "ELASTICSEARCH_URL needs scheme, host and port, as http://localhost:9200"
        ) from None


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client's connection errors into ConnectionLostError."""
    try:
        yield
    except SerializationError:
        raise
    except elastic_transport.TransportError as error:
        raise ConnectionLostError(f"Elasticsearch cannot be reached: {error.message}") from error


@contextmanager
def answered() -> Iterator[None]:
    """Turn connection errors into ConnectionLostError, and refusals into DependencyError."""
    try:
        with translated():
            yield
    except ApiError as error:
        raise DependencyError(f"Elasticsearch refuses: {error}") from error


async def check_server(client: AsyncElasticsearch, analyzer: str) -> None:
    """Make sure that the server can be used.

    Asks `_nodes`, not `GET /`: the smallest build of Elasticsearch has no such page.
    Raises DependencyError when the server is missing, has another major version, or does not know
    the analyzer.
    """
    try:
        with translated():
            answer = await client.nodes.info(filter_path="nodes.*.version")
    except (ConnectionLostError, ApiError) as error:
        raise DependencyError(f"ELASTICSEARCH_URL does not answer as expected: {error}") from error
    for node in answer.get("nodes", {}).values():
        if int(node["version"].split(".")[0]) != SUPPORTED_MAJOR:
            raise DependencyError(
                f"Elasticsearch {node['version']} is not supported; {SUPPORTED_MAJOR}.x is"
            )
    try:
        await client.indices.analyze(analyzer=analyzer, text="x")
    except ApiError as error:
        raise DependencyError(
            f"INDEX_ANALYZER={analyzer!r}: this Elasticsearch does not know it"
            " (the smallest build has standard, simple, whitespace, keyword, stop)"
        ) from error
