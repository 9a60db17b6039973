"""Chooses the frontier that goes with a database."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.frontier.port import Frontier, FrontierSettings
from shared.postgres.memory import MemoryDatabase
from shared.postgres.port import Database
from shared.supervisor.parts import Service


async def open_frontier(
    database: Database,
    redis_url: str,
    settings: FrontierSettings,
    *,
    prefix: str = "crawler:frontier",
    allow_eviction: bool = False,
) -> tuple[Frontier, Sequence[Service]]:
    """Return the frontier on an opened database, and the services that it needs beside a pool.

    Raises DependencyError when a server is missing or may lose data.
    """
    if isinstance(database, MemoryDatabase):
        from crawler.frontier.memory.frontier import MemoryFrontier

        return MemoryFrontier(settings), ()
    from crawler.frontier.postgres_redis.frontier import PostgresRedisFrontier
    from shared.postgres.database import PostgresDatabase

    if not isinstance(database, PostgresDatabase):
        raise TypeError(f"there is no frontier on a {type(database).__name__}")
    frontier = PostgresRedisFrontier(database, redis_url, settings, prefix=prefix)
    try:
        await frontier.open(allow_eviction=allow_eviction)
    except BaseException:
        await frontier.close()
        raise
    return frontier, (frontier.feeder,)
