"""The library's client, which would give its login to a server that offers no TLS."""

from __future__ import annotations

from typing import Any

from nats.aio.client import Client
from nats.errors import Error


class NoTlsError(Error):
    """The server offers no TLS, or somebody between it and us took the offer out."""


class TlsClient(Client):
    """Speaks TLS or not at all: nats-py itself upgrades only when the server requires it."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Look at the server's greeting, which comes before anything is sent."""
        if initial_connection:
            if not (info.get("tls_required") or info.get("tls_available")):
                raise NoTlsError
            info["tls_required"] = True  # it is optional there, and not here
        await super()._process_info(info, initial_connection=initial_connection)
