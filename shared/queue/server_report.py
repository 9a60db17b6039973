"""What a broker tells of itself, for a person who asks whether it may be trusted."""

from __future__ import annotations

import msgspec


class ServerReport(msgspec.Struct, frozen=True, kw_only=True):
    """A broker that answers, and that a queue may be opened on."""

    where: str
    """Its address, without a login."""
    version: str = ""
    """Empty where the broker does not tell."""
    unseen: str = ""
    """Settings that decide whether jobs survive a power cut, and that no client can see."""
