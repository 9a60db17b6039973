"""What a check found, in words for the person who has to act on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

Level = Literal["ok", "warning", "error"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that is well, or not; `advice` says what to do about it."""

    level: Level
    what: str
    advice: str = ""


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """All findings of one dependency. `where` is an address without user and password."""

    name: str
    where: str
    version: str = ""
    findings: list[Finding]

    @property
    def level(self) -> Level:
        """The worst level of all findings."""
        levels = {finding.level for finding in self.findings}
        return "error" if "error" in levels else "warning" if "warning" in levels else "ok"


Check = Callable[[], Awaitable[Checkup]]


def unreachable(name: str, where: str, error: Exception, advice: str) -> Checkup:
    """Return the checkup of a server that did not answer."""
    return Checkup(name=name, where=where, findings=[Finding("error", str(error), advice)])
