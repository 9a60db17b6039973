"""The form in which lanes.lua reads the limits of lanes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shared.queue.port import LaneLimits


def encode_limits(limits: Mapping[str, LaneLimits]) -> bytes:
    """Return lane -> most running, microseconds between two starts, burst; empty for no limits."""
    if not limits:
        return b""
    forms = {
        lane: (each.max_running, 1e6 / each.per_second if each.per_second else 0, each.burst)
        for lane, each in sorted(limits.items())
    }
    return msgspec.msgpack.encode(forms)
