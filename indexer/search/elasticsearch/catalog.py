"""Which generations there are, told by names and aliases alone: the cluster keeps no other state.

For INDEX_NAME `docs`: `docs-g000002` is a physical index, `docs-g000002-w5` its write alias under
the configuration's epoch 5, and `docs` the filtered alias that is searched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec


class Catalog(msgspec.Struct, frozen=True):
    """One reading of the aliases."""

    epoch: int = 0
    live: int | None = None
    generations: tuple[int, ...] = ()
    write_aliases: Mapping[int, str] = {}
    """By generation; one that is missing here is outside the fan-out."""

    def fan_out(self) -> list[str]:
        """Return all write aliases, the live generation's first: its answer is the outcome."""
        return [self.write_aliases[n] for n in sorted(self.write_aliases, key=self._live_first)]

    def _live_first(self, number: int) -> tuple[bool, int]:
        return number != self.live, number


def index_name(prefix: str, number: int) -> str:
    """Return the name of a generation's physical index."""
    return f"{prefix}-g{number:06d}"


def write_alias(prefix: str, number: int, epoch: int) -> str:
    """Return the name of a generation's write alias under an epoch."""
    return f"{index_name(prefix, number)}-w{epoch}"


def read_catalog(prefix: str, indices: Mapping[str, Any]) -> Catalog:
    """Make sense of the server's list of indices with their aliases."""
    epoch, live, numbers, aliases = 0, None, [], {}
    for index, state in indices.items():
        match = re.fullmatch(rf"{re.escape(prefix)}-g(\d{{6}})", index)
        if match is None:
            continue
        number = int(match[1])
        numbers.append(number)
        for alias in state["aliases"]:
            if alias == prefix:
                live = number
            elif written := re.fullmatch(rf"{re.escape(index)}-w(\d+)", alias):
                aliases[number] = alias
                epoch = max(epoch, int(written[1]))
    return Catalog(
        epoch=epoch, live=live, generations=tuple(sorted(numbers)), write_aliases=aliases
    )
