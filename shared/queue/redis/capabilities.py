"""The Redis adapter can do all of it; it is the reference."""

from __future__ import annotations

from shared.queue.port import Capabilities

CAPABILITIES = Capabilities()
