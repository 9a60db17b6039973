"""Reads kafka://[user:password@]host:port[,host:port][?partitions=8…] and kafka+ssl://…."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from shared.errors import ConfigError

_FORM = (
    "kafka://[user:password@]host:port[,host:port][?partitions=8&replication=1"
    "&mechanism=SCRAM-SHA-512], or kafka+ssl://…[?cafile=/path/ca.pem]"
)
_MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")


class Login(msgspec.Struct, frozen=True):
    """Who the cluster takes us for; never shown."""

    user: str
    password: str
    mechanism: str

    def __repr__(self) -> str:
        return "Login(hidden)"


class Address(msgspec.Struct, frozen=True):
    """Where the cluster is, how to connect, and how topics that are missing are created."""

    servers: str
    """host:port, host:port: what people may read."""
    partitions: int = 8
    """Of each topic: at most so many workers share a queue."""
    replication: int = 1
    """Copies of each topic; 3 where a broker may be lost."""
    login: Login | None = None
    tls: ssl.SSLContext | None = None

    def connection(self) -> dict[str, Any]:
        """Return the library's options of every connection."""
        options: dict[str, Any] = {"security_protocol": "SSL" if self.tls else "PLAINTEXT"}
        if self.tls:
            options["ssl_context"] = self.tls
        if self.login:
            options["security_protocol"] = "SASL_" + options["security_protocol"]
            options["sasl_mechanism"] = self.login.mechanism
            options["sasl_plain_username"] = self.login.user
            options["sasl_plain_password"] = self.login.password
        return options

    def client(self) -> dict[str, Any]:
        """Return the library's options of every client."""
        return {"bootstrap_servers": self.servers, **self.connection()}


def read_address(url: str) -> Address:
    """Return the parts of a URL. Raises ConfigError, without its secrets, for a wrong one."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may have a part of the password
        raise _unreadable() from None
    login, _, servers = parts.netloc.rpartition("@")
    if "@" in parts.path + parts.query + parts.fragment:
        raise ConfigError(
            "a Kafka URL has an @ behind its servers: "
            "write / # ? @ inside of a password as %2F %23 %3F %40"
        )
    known = parts.scheme in ("kafka", "kafka+ssl") and all(map(_is_server, servers.split(",")))
    if not known or parts.path.strip("/") or parts.fragment:
        raise _unreadable()
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    address = Address(
        servers,
        _number(query, "partitions", 8),
        _number(query, "replication", 1),
        _login(login, query),
        _tls(query) if parts.scheme == "kafka+ssl" else None,
    )
    if query:
        raise ConfigError(f"unknown in a Kafka URL: {', '.join(sorted(query))}; allowed is {_FORM}")
    return address


def _unreadable() -> ConfigError:
    return ConfigError(f"the Kafka URL cannot be read; allowed is {_FORM}")


def _is_server(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 65536


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.pop(name, str(default))
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise ConfigError(f"{name} in a Kafka URL is {text!r}; allowed are whole numbers from 1")
    return int(text)


def _login(text: str, query: dict[str, str]) -> Login | None:
    if not text:
        return None  # a mechanism without a login is left in the query, and complained of
    user, _, password = map(unquote, text.partition(":"))
    mechanism = query.pop("mechanism", _MECHANISMS[0])
    if mechanism not in _MECHANISMS:
        allowed = ", ".join(_MECHANISMS)
        raise ConfigError(f"mechanism in a Kafka URL is {mechanism!r}; allowed are {allowed}")
    if not user or not password:
        raise ConfigError("the login of a Kafka URL needs both: user:password@")
    return Login(user, password, mechanism)


def _tls(query: dict[str, str]) -> ssl.SSLContext:
    """Trust what the system does and SSL_CERT_FILE, or the authorities of one file alone."""
    file = query.pop("cafile", None)
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:  # an SSLError is one, too
        raise ConfigError(
            f"cafile in a Kafka URL is {file!r}, which has no certificates to trust: {error}"
        ) from error
