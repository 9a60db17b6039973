"""The opaque transaction that lets several stores write together without knowing each other."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Transaction(Protocol):
    """One open transaction. Only the adapters of one backend look inside; all others pass it on."""


class Database(Protocol):
    """Opens transactions."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Commit on leaving, roll back when leaving by an exception.

        Raises ConnectionLostError when the server goes away; the commit may then have happened.
        """
        ...
