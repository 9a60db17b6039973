from __future__ import annotations

import socket

import pytest

from crawler.fetcher.address_guard import AddressGuard, AddressRefusedError
from shared.errors import ConfigError


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%lo",
        "fec0::1",
        "ff02::1",
        "localhost",
        "",
    ],
)
def test_refuses_what_is_nobodys_web_site(address: str) -> None:
    assert AddressGuard().refusal(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"]
)
def test_lets_public_addresses_through(address: str) -> None:
    assert AddressGuard().refusal(address) == ""


def test_lets_through_what_is_allowed_and_nothing_beside_it() -> None:
    guard = AddressGuard(["127.0.0.0/8", "fd00::/8", "10.1.0.0/16"])
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "10.1.2.3"):
        assert guard.refusal(address) == ""
    for address in ("::1", "10.2.0.1", "fc00::1"):
        assert guard.refusal(address)


@pytest.mark.parametrize("text", ["localhost", "10.0.0.1/8", "10.0.0.0/40", ""])
def test_a_network_that_is_none_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a network"):
        AddressGuard([text])


def test_makes_sockets_only_for_addresses_it_lets_through() -> None:
    def info(address: str) -> tuple[object, ...]:
        return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 80))

    with AddressGuard(["127.0.0.1/32"]).socket(info("127.0.0.1")) as made:
        assert made.family == socket.AF_INET
    with pytest.raises(AddressRefusedError, match="not a public address"):
        AddressGuard().socket(info("127.0.0.1"))
