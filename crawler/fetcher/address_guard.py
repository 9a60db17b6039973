"""Keeps the crawler away from addresses that are nobody's web site: loopback, private, special.

The guard is asked by the socket factory, with the address that is about to be connected: after
DNS, after every spelling of a literal was read, at every connection, whatever led there.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from shared.errors import ConfigError

Network = IPv4Network | IPv6Network

# Python's is_global calls these public; they are not, or they hide an IPv4 address inside.
_SPECIAL_V4 = tuple(
    map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4", "240.0.0.0/4"))
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48"))
)


class AddressRefusedError(OSError):
    """The guard does not let this address through."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EADDRNOTAVAIL, reason)


class AddressGuard:
    """Decides about addresses, at the socket, for every connection."""

    def __init__(self, allow_networks: Sequence[str] = ()) -> None:
        """Let these networks (CIDR) through besides the public ones.

        Raises ConfigError when one is not a network.
        """
        self._allowed = tuple(_network(text) for text in allow_networks)
        self.refusal = lru_cache(maxsize=4096)(self._refusal)
        """Return why an address is refused, in words; empty when it may be asked."""

    def socket(self, address_info: tuple[Any, ...]) -> socket.socket:
        """Make the socket for one address of getaddrinfo. Raises AddressRefusedError."""
        family, kind, protocol, _, address = address_info
        refusal = self.refusal(address[0])
        if refusal:
            raise AddressRefusedError(refusal)
        return socket.socket(family, kind, protocol)

    def _refusal(self, address: str) -> str:
        try:
            ip = ip_address(address)
        except ValueError:
            return f"{address!r} is not an IP address"
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        if any(ip in network for network in self._allowed):
            return ""
        refusal = f"{address} is not a public address; ALLOW_NETWORKS may let it through"
        return "" if _is_public(ip) else refusal


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv4Address):
        return ip.is_global and not any(ip in network for network in _SPECIAL_V4)
    special = not ip.is_global or any(ip in network for network in _SPECIAL_V6)
    return ip in _GLOBAL_UNICAST_V6 and not special


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ConfigError(
            f"{text!r} is not a network ({error}); write it as 10.0.0.0/8 or ::1/128"
        ) from error
