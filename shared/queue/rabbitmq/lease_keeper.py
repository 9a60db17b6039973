"""Leases last as long as the connection: this keeper renews nothing, and tells of their end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping


class ConnectionWatch:
    """Told by the queue when its connection is lost."""

    def __init__(self) -> None:
        self._held: Mapping[str, float] = {}
        self._on_lost: Callable[[Collection[str]], None] | None = None

    def start(self, held: Mapping[str, float], on_lost: Callable[[Collection[str]], None]) -> None:
        """See LeaseKeeper.start; `on_lost` is called from the event loop."""
        self._held = held
        self._on_lost = on_lost

    def stop(self) -> None:
        """See LeaseKeeper.stop."""
        self._on_lost = None

    def lost(self, label: str) -> None:
        """Tell that all leases of the session with this label are gone."""
        gone = [token for token in dict(self._held) if token.startswith(label)]
        if gone and self._on_lost is not None:
            self._on_lost(gone)
