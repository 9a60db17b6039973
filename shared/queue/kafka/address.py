"""Reads kafka://host:port[,host:port]?partitions=8&replication=1."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import msgspec

from shared.errors import ConfigError

_FORM = "kafka://host:port[,host:port][?partitions=8&replication=1]"


class Address(msgspec.Struct, frozen=True):
    """Where the cluster is, and how topics that are missing are created."""

    servers: str
    """host:port, host:port: what people may read, and what the client is started with."""
    partitions: int = 8
    """Of each topic: at most so many workers share a queue."""
    replication: int = 1
    """Copies of each topic; 3 where a broker may be lost."""


def read_address(url: str) -> Address:
    """Return the parts of a URL. Raises ConfigError when it cannot be read."""
    parts = urlsplit(url)
    if "@" in url:
        raise ConfigError(f"a Kafka URL carries no user and no password; allowed is {_FORM}")
    if parts.scheme != "kafka" or not all(map(_is_server, parts.netloc.split(","))):
        raise ConfigError(f"{url!r} is not a Kafka URL; allowed is {_FORM}")
    if parts.path.strip("/"):
        raise ConfigError(f"a Kafka URL has no path, {parts.path!r} was given; allowed is {_FORM}")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    partitions = _number(query, "partitions", 8)
    replication = _number(query, "replication", 1)
    if query:
        raise ConfigError(f"unknown in a Kafka URL: {', '.join(sorted(query))}; allowed is {_FORM}")
    return Address(parts.netloc, partitions, replication)


def _is_server(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 65536


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.pop(name, str(default))
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise ConfigError(f"{name} in a Kafka URL is {text!r}; allowed are whole numbers from 1")
    return int(text)
