"""Runs a Lua script that lies in files beside its adapter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

Argument = str | bytes | int | float


class Script:
    """A script, called by its hash; a server that forgot it in a restart is sent the text."""

    def __init__(self, package: str, *names: str) -> None:
        """Read `names` (with their .lua) from a package, as one text in this order.

        What an earlier file declares, a later one may use. Raises FileNotFoundError.
        """
        self._text = "\n".join(_read(package, name) for name in names)
        self._hash = sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    def command(self, keys: Sequence[str], arguments: Sequence[Argument]) -> list[Argument]:
        """Return the command that runs the script, if the server has it."""
        return ["EVALSHA", self._hash, len(keys), *keys, *arguments]

    async def run(
        self, client: redis.asyncio.Redis, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> Any:
        """Run the script once; errors are those of the client."""
        try:
            return await client.evalsha(self._hash, len(keys), *keys, *arguments)
        except NoScriptError:
            return await client.eval(self._text, len(keys), *keys, *arguments)

    def run_blocking(
        self, client: redis.Redis, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> Any:
        """Run the script once from a thread."""
        try:
            return client.evalsha(self._hash, len(keys), *keys, *arguments)
        except NoScriptError:
            return client.eval(self._text, len(keys), *keys, *arguments)


@cache
def _read(package: str, name: str) -> str:
    """Read a file once: most are part of several scripts."""
    return files(package).joinpath(name).read_text(encoding="utf-8")
