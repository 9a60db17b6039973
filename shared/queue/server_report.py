"""What a broker tells of itself, for a person who asks whether it may be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Risk(msgspec.Struct, frozen=True):
    """A setting with which acknowledged jobs may be lost, and what to do about it."""

    what: str
    advice: str


class ServerReport(msgspec.Struct, frozen=True, kw_only=True):
    """A broker that answers, and that a queue may be opened on."""

    where: str
    """Its address, without a login."""
    version: str = ""
    """Empty where the broker does not tell."""
    risks: Sequence[Risk] = ()
    unseen: str = ""
    """Settings on which it depends whether jobs are kept, and that no client can see."""
