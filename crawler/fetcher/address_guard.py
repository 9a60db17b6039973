"""Keeps the crawler away from addresses that are nobody's web site: loopback, private, special."""

from __future__ import annotations

from collections.abc import Sequence


class AddressGuard:
    """Decides about addresses, at the socket, for every connection."""

    def __init__(self, allow_networks: Sequence[str] = ()) -> None:
        """Let these networks (CIDR) through besides the public ones. Raises ConfigError."""
        raise NotImplementedError

    def refusal(self, address: str) -> str:
        """Return why an address is refused, in words; empty when it may be asked."""
        raise NotImplementedError
