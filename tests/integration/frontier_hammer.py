"""A process that asks one host as often as the frontier lets it, and prints when it did."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

from crawler.frontier.port import HostReport
from crawler.frontier.postgres_redis.frontier import PostgresRedisFrontier
from shared.postgres.database import PostgresDatabase
from shared.verdicts import Done, HandBack, Settlement
from tests.contracts.frontier_stage import SETTINGS, target, visited


async def main(database_url: str, redis_url: str, seconds: float) -> None:
    """Hammer; one line `start host` for each request that would have been sent."""
    database = PostgresDatabase(database_url)
    await database.open()
    frontier = PostgresRedisFrontier(database, redis_url, SETTINGS)
    await frontier.open()
    stop = asyncio.Event()
    feeder = asyncio.create_task(frontier.feeder.run(stop))
    deadline = time.monotonic() + seconds
    starts: list[float] = []
    settled: list[Settlement] = []
    while time.monotonic() < deadline:
        exchange = await frontier.exchange(settled, 8)
        settled = []
        for delivery in exchange.deliveries:
            # Any pause may lie between a grant and its request, and between its end and the report.
            await asyncio.sleep(random.choice([0.0, 0.0, 0.05, 0.3]))
            if random.random() < 0.1:
                settled.append(Settlement(delivery, HandBack()))
                continue
            started = time.monotonic()
            starts.append(started)
            await asyncio.sleep(random.choice([0.0, 0.02]))
            await frontier.release(
                [
                    HostReport(
                        token=delivery.token,
                        host=target(delivery).host,
                        since_start_seconds=time.monotonic() - started,
                    )
                ]
            )
            async with database.transaction() as tx:
                await frontier.commit(tx, [visited(delivery, next_due_seconds=0.0)])
            settled.append(Settlement(delivery, Done()))
        if not exchange.deliveries:
            await frontier.wait(0.02)
    await frontier.exchange(settled, 0)
    stop.set()
    await feeder
    await frontier.close()
    await database.close()
    print(json.dumps(starts))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
