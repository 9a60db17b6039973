"""A connection of one's own, for commands that block."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, ResponseError

from shared.redis.client import ANSWER_TIMEOUT_SECONDS, is_cluster
from shared.redis.script import Argument


class Line:
    """Sends a few commands at once and returns their answers, with as little as can be around.

    What waits for a blocking command has slept, and finds nothing of its code in the processor's
    caches: there the library's detours (pool, retries, timers by answer) cost more than the way
    to the server and back.
    """

    def __init__(self, client: redis.asyncio.Redis, key: str) -> None:
        """Connects when it is first used, in a cluster to the node that has `key`."""
        self._client: Any = client
        self._key = key
        self._connection: Any = None

    async def ask(self, *commands: Sequence[Argument]) -> list[Any]:
        """Return the answers in turn; one that is an error is returned, too.

        Raises what the client raises when the connection is lost, or when the last answer takes
        longer than ANSWER_TIMEOUT_SECONDS. Whatever is raised, the connection is closed.
        """
        try:
            if self._connection is None:
                self._connection = await self._connect()
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                packed = self._connection.pack_commands(commands)
                await self._connection.send_packed_command(packed, check_health=False)
                return [await self._answer() for _ in commands]
        except TimeoutError as error:
            await self._drop()
            raise RedisConnectionError(f"no answer in {ANSWER_TIMEOUT_SECONDS:g} s") from error
        except BaseException:
            await self._drop()
            raise

    async def close(self) -> None:
        """Close the connection, if there is one; the next use opens another."""
        await self._drop(nowait=False)

    async def _drop(self, *, nowait: bool = True) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=nowait)

    async def _connect(self) -> Any:
        if is_cluster(self._client):
            await self._client.initialize()
            source = self._client.get_node_from_key(self._key)
        else:
            source = self._client.connection_pool
        connection = source.connection_class(**source.connection_kwargs | {"socket_timeout": None})
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            await connection.connect()
        return connection

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response()
        except MovedError as error:  # the client hears of it, too, and then knows the other node
            raise RedisConnectionError(f"{self._key} is on another node now") from error
        except ResponseError as error:
            return error
