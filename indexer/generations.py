"""Which generation comes next, which came before, and which are left over."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.search.port import Generation, SearchIndex
from shared.errors import ConfigError


def live_generation(generations: Sequence[Generation]) -> Generation:
    """Return the generation that is searched. Raises ConfigError when there is none."""
    for generation in generations:
        if generation.live:
            return generation
    raise ConfigError("no generation of the index is live; was the index deleted?")


def generation_before(generations: Sequence[Generation]) -> Generation:
    """Return the newest writable generation older than the live one.

    Raises ConfigError when there is none to go back to.
    """
    live = live_generation(generations)
    older = [g for g in generations if g.writable and g.number < live.number]
    if not older:
        raise ConfigError(f"there is no generation before {live.number} to go back to")
    return older[-1]


async def roll_back(index: SearchIndex) -> int:
    """Search the generation before the live one again; return its number.

    It has received all writes meanwhile, so nothing is missing in it.
    """
    before = generation_before(await index.generations())
    await index.swap(before.number)
    return before.number


async def drop_all_but(index: SearchIndex, kept: Sequence[int]) -> list[int]:
    """Drop every generation that is neither live nor to be kept; return their numbers."""
    dropped = []
    for generation in await index.generations():
        if not generation.live and generation.number not in kept:
            await index.drop(generation.number)
            dropped.append(generation.number)
    return dropped
