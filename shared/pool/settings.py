"""What a pool needs to know."""

from __future__ import annotations

import msgspec


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes and times of one worker pool, in jobs and seconds."""

    workers: int = 10
    """Slots: how many jobs (or batches) run at once."""
    grace_seconds: float = 25.0
    """How long running jobs may finish once the pool is asked to stop."""
    unknown_type_patience_seconds: float = 600.0
    """How long a job of an unknown type is snoozed before it is dead-lettered."""
    cancel_grace_seconds: float = 5.0
    """How long a cancelled job may clean up before it is abandoned and its slot replaced."""
    settle_seconds: float = 30.0
    """How much longer than its work a lease is renewed, so that its verdict can be delivered."""
    sweep_seconds: float = 0.1
    """How often deadlines are looked at; a timeout is late by at most this."""
    idle_seconds: float = 5.0
    """Longest wait between two questions to a work source that has nothing."""
