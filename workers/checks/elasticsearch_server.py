"""Elasticsearch: the health of the cluster, and settings that acknowledge before the disk."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from workers.checks.finding import Checkup, Finding, unreachable

_TIMEOUT_SECONDS = 10.0


async def check(url: str) -> Checkup:
    """Look at one cluster; changes nothing in it."""
    where = _address(url)
    try:
        async with AsyncElasticsearch(
            url, request_timeout=_TIMEOUT_SECONDS, max_retries=0
        ) as client:
            health = (await client.cluster.health()).body
            nodes = (await client.nodes.info(metric="os")).body
            settings = (
                await client.indices.get_settings(
                    name="index.translog.durability", flat_settings=True
                )
            ).body
    except (ApiError, TransportError, ValueError) as error:
        # The client's own words may hold the URL, and with it the password.
        said = ConnectionError(f"cannot be used ({type(error).__name__})")
        return unreachable(
            "Elasticsearch", where, said, "Start it, set ELASTICSEARCH_URL, or leave that empty to "
            "use the embedded index."
        )  # fmt: skip
    versions = sorted({str(node["version"]) for node in nodes["nodes"].values()})
    findings = [_age(versions), _health(health), _translog(settings)]
    return Checkup(
        name="Elasticsearch", where=where, version=", ".join(versions), findings=findings
    )


def _age(versions: list[str]) -> Finding:
    if any(not version.startswith("9.") for version in versions):
        return Finding(
            "error",
            f"version {', '.join(versions)}: the client of version 9 is refused",
            "Use Elasticsearch 9.2 or later.",
        )
    return Finding("ok", f"version {', '.join(versions)}")


def _health(health: Any) -> Finding:
    status, nodes = health["status"], health["number_of_nodes"]
    if status == "red":
        return Finding(
            "error",
            "the cluster is red: a primary shard is missing",
            "GET _cluster/allocation/explain",
        )
    if status == "yellow":
        return Finding(
            "warning",
            f"the cluster is yellow on {nodes} node(s): some replicas have no place",
            "Add a node, or set number_of_replicas to 0 on a single one.",
        )
    return Finding("ok", f"the cluster is green on {nodes} node(s)")


def _translog(settings: Any) -> Finding:
    loose = sorted(
        name
        for name, found in settings.items()
        if found.get("settings", {}).get("index.translog.durability") == "async"
    )
    if loose:
        return Finding(
            "warning",
            f"index.translog.durability is async in {', '.join(loose)}: a power cut loses writes",
            "Set it to request.",
        )
    return Finding("ok", "writes reach the disk before they are acknowledged")


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port or 9200}"
    except ValueError:
        return "(unreadable address)"
