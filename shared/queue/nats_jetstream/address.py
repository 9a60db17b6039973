"""Where NATS is, from a URL: its servers, and a login that is never shown."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import unquote, urlsplit

from shared.errors import ConfigError

_PORT = 4222


class Address:
    """Servers and login of `nats://user:password@host:port,host:port` or `tls://…`.

    A name without a password is a token. Raises ConfigError when it is not such a URL.
    """

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        login, _, hosts = rest.rpartition("@")
        self.tls = scheme == "tls"
        """Whether to speak TLS or not at all."""
        self._servers = [_server(scheme, host) for host in hosts.split(",")]
        self._user, has_password, self._password = login.partition(":")
        self._is_token = not has_password

    def options(self) -> dict[str, Any]:
        """Return options for the client's connect."""
        found: dict[str, Any] = {"servers": self._servers}
        if self._user and self._is_token:
            found["token"] = unquote(self._user)
        elif self._user:
            found |= {"user": unquote(self._user), "password": unquote(self._password)}
        if self.tls:
            found["tls"] = ssl.create_default_context()
        return found

    def __str__(self) -> str:
        return ",".join(server.partition("://")[2] for server in self._servers)


def _server(scheme: str, host: str) -> str:
    try:
        parts = urlsplit(f"{scheme}://{host}")
        port = parts.port or _PORT
    except ValueError:
        port = 0
    if scheme not in ("nats", "tls") or not port or not parts.hostname or parts.path.strip("/"):
        raise ConfigError(
            "not a NATS URL: use nats://[user:password@]host[:port][,host:port] or tls://…"
        )
    return f"{scheme}://{host.rstrip('/')}" if parts.port else f"{scheme}://{parts.hostname}:{port}"
