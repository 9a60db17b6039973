"""Stamps: an era above a sequence number; the only thing that orders writes to a target."""

from __future__ import annotations

import asyncpg

from shared.documents.sql import statement
from shared.errors import DependencyError
from shared.observability.logs import get_logger

ERA_SHIFT = 48
"""A stamp is `era << ERA_SHIFT | sequence number`."""

_DRAW = statement("draw_stamp")
_RAISE_ERA = statement("raise_era")

_log = get_logger(__name__)


def era_of(stamp: int) -> int:
    """Return the era of a stamp; it rises when the database's history forks."""
    return stamp >> ERA_SHIFT


async def draw_stamp(connection: asyncpg.Connection) -> int:
    """Draw one stamp, above every stamp drawn before in this and all earlier eras.

    The era is checked in the same statement: a failover or a restore may happen under a process
    that is already running. Raises DependencyError when the era cannot be raised.
    """
    stamp = await connection.fetchval(_DRAW)
    if stamp is None:
        await connection.execute(_RAISE_ERA)
        stamp = await connection.fetchval(_DRAW)
        if stamp is None:
            raise DependencyError("the history of the database changes faster than its era")
        _log.warning("stamp_era_raised", era=era_of(stamp))
    return int(stamp)
