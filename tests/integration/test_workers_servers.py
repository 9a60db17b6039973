"""The embedded servers of `workers up` come back on the same data and port."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import redis

from workers.servers import Servers
from workers.settings import SuiteSettings


async def test_an_embedded_server_that_dies_starts_again_with_its_data(tmp_path: Path) -> None:
    servers = Servers(SuiteSettings(data_dir=str(tmp_path), database_url="postgresql://given"))
    servers.start()
    told: asyncio.Queue[str] = asyncio.Queue()
    keeper = asyncio.create_task(servers.keep_running(told.put_nowait))
    try:
        with redis.Redis.from_url(servers.environment()["REDIS_URL"]) as client:
            client.set("kept", "yes")
            client.execute_command("WAITAOF", 1, 0, 5000)
            os.kill(client.info("server")["process_id"], signal.SIGKILL)

        async with asyncio.timeout(30):
            assert "Valkey ended" in await told.get()
        with redis.Redis.from_url(servers.environment()["REDIS_URL"]) as client:
            assert client.get("kept") == b"yes"
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        servers.stop()
