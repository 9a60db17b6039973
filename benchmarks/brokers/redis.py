"""Redis with redis-py: a consumer group of a stream, and the bare list."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from benchmarks.brokers.contest import BATCH, PAYLOAD, Contest, parts
from shared.embedded.valkey import ValkeyServer


async def _stream(url: str, jobs: int) -> float:
    name = f"bare-{uuid4().hex[:8]}"
    async with Redis.from_url(url) as client:
        await client.xgroup_create(name, "bench", mkstream=True)
        for count in parts(jobs, BATCH):
            async with client.pipeline(transaction=False) as pipe:
                for _ in range(count):
                    pipe.xadd(name, {"job": PAYLOAD})
                await pipe.execute()
        started, left = time.perf_counter(), jobs
        while left:
            answer: Any = await client.xreadgroup("bench", "one", {name: ">"}, count=BATCH)
            ids = [each for each, _ in answer[0][1]]
            async with client.pipeline(transaction=False) as pipe:
                pipe.xack(name, "bench", *ids)
                pipe.xdel(name, *ids)
                await pipe.execute()
            left -= len(ids)
        return time.perf_counter() - started


async def _list(url: str, jobs: int) -> float:
    name = f"bare-{uuid4().hex[:8]}"
    async with Redis.from_url(url) as client:
        for count in parts(jobs, BATCH):
            await client.lpush(name, *[PAYLOAD] * count)
        started, left = time.perf_counter(), jobs
        while left:
            left -= len(await client.rpop(name, BATCH) or ())
        return time.perf_counter() - started


def _server(directory: Path) -> ValkeyServer:
    program = shutil.which("redis-server")
    return ValkeyServer(directory, program=Path(program) if program else None)


CONTEST = Contest(
    server=_server,
    jobs=100_000,
    settings="appendonly yes, appendfsync everysec",
    client="redis-py, XREADGROUP COUNT 200, then XACK and XDEL of all in one write",
    bare=_stream,
    ceiling_is="redis-py, RPOP 200: no acknowledgement, what was popped is lost in a crash",
    ceiling=_list,
    versions=("redis", "hiredis"),
)
