"""How large a bulk may be: what the server says to the last ones decides."""

from __future__ import annotations

FIRST_BYTES = 5 * 1024 * 1024
LEAST_BYTES = 256 * 1024
MOST_BYTES = 8 * 1024 * 1024
STEP_BYTES = 256 * 1024


class BodySize:
    """Grows by a step with each body that was taken, and halves when the server is overloaded."""

    def __init__(self, first_bytes: int) -> None:
        self.bytes = first_bytes

    def taken(self, size: int) -> None:
        """Note that a body of so many bytes was taken; one that was half empty proves nothing."""
        if size > self.bytes // 2:
            self.bytes = min(self.bytes + STEP_BYTES, MOST_BYTES)

    def overloaded(self) -> None:
        """Note that the server could not take all of a body."""
        self.bytes = max(self.bytes // 2, LEAST_BYTES)
