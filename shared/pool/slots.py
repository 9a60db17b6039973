"""The slots that the lanes of a pool share."""

from __future__ import annotations

from collections.abc import Callable

from shared.observability.metrics import GaugeCell


class Slots:
    """Counts free slots and tells when one became free."""

    def __init__(self, total: int, busy: GaugeCell, freed: Callable[[], None]) -> None:
        self.free = total
        self.open = True
        """Whether work may still begin."""
        self._busy = busy
        self._freed = freed

    def close(self) -> None:
        """Let nothing begin any more; what runs goes on."""
        self.open = False

    def take(self) -> None:
        """Occupy a slot; the caller has looked that one is free."""
        self.free -= 1
        self._busy.add(1)

    def release(self) -> None:
        """Give a slot back."""
        self.free += 1
        self._busy.add(-1)
        self._freed()
