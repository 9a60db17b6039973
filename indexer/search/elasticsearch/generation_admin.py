"""Makes, swaps and drops generations; each change of the aliases is one atomic call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elasticsearch import ApiError, AsyncElasticsearch

from indexer.search.elasticsearch.catalog import Catalog, index_name, read_catalog, write_alias
from indexer.search.elasticsearch.connection import answered, translated
from indexer.search.elasticsearch.mapping import (
    BUILDING,
    IN_SERVICE,
    LIVE_ONLY,
    index_settings,
    mappings,
)
from indexer.search.port import Generation
from shared.errors import DependencyError


class GenerationAdmin:
    """The generations of one index name."""

    def __init__(
        self, client: AsyncElasticsearch, name: str, *, shards: int, analyzer: str
    ) -> None:
        self._client = client
        self._name = name
        self._shards = shards
        self._analyzer = analyzer

    def index(self, number: int) -> str:
        """Return the name of a generation's physical index."""
        return index_name(self._name, number)

    async def read(self) -> Catalog:
        """Read names and aliases from the cluster. Raises ConnectionLostError."""
        with answered():
            answer = await self._client.indices.get_alias(index=f"{self._name}-g*")
        return read_catalog(self._name, answer.body)

    async def ensure_first(self) -> None:
        """Create generation 1, searched and written to, when there is no generation.

        Raises DependencyError when the name is taken by an index that is not ours.
        """
        if (await self.read()).generations:
            return
        aliases = {
            self._name: {"filter": LIVE_ONLY},
            write_alias(self._name, 1, 1): {},
        }
        try:
            await self._create_index(1, aliases=aliases, settings=index_settings(self._shards))
        except ApiError as error:
            # Two workers that start at once both find none; one of them makes it.
            if error.error != "resource_already_exists_exception":
                raise DependencyError(f"cannot create the index {self._name}: {error}") from error

    async def create(self) -> int:
        """Create the next generation and put it into the fan-out under a new epoch.

        Old write aliases go in the same call, so a worker that does not know the new generation
        gets "no such alias" instead of writing past it.
        """
        old = await self.read()
        number = max(old.generations, default=0) + 1
        with answered():
            await self._create_index(
                number, aliases={}, settings={**index_settings(self._shards), **BUILDING}
            )
        removed = [
            {"remove": {"index": self.index(n), "alias": alias, "must_exist": True}}
            for n, alias in old.write_aliases.items()
        ]
        added = [
            {"add": {"index": self.index(n), "alias": write_alias(self._name, n, old.epoch + 1)}}
            for n in (*old.write_aliases, number)
        ]
        await self._update_aliases([*removed, *added])
        return number

    async def swap(self, number: int) -> None:
        """Search this generation from now on. Raises ValueError when writes do not reach it."""
        catalog = await self.read()
        if number not in catalog.write_aliases:
            raise ValueError(f"generation {number} does not exist or is not written to")
        index = self.index(number)
        with answered():
            await self._client.indices.put_settings(index=index, settings=IN_SERVICE)
            await self._client.indices.refresh(index=index)
        actions: list[dict[str, Any]] = []
        if catalog.live is not None:
            old = self.index(catalog.live)
            actions.append({"remove": {"index": old, "alias": self._name, "must_exist": True}})
        actions.append({"add": {"index": index, "alias": self._name, "filter": LIVE_ONLY}})
        await self._update_aliases(actions)

    async def drop(self, number: int) -> None:
        """Delete a generation. Raises ValueError for the live one and for one that is not there."""
        catalog = await self.read()
        if number == catalog.live or number not in catalog.generations:
            raise ValueError(f"generation {number} is live, or does not exist")
        with answered():
            await self._client.indices.delete(index=self.index(number))

    async def describe(self) -> Sequence[Generation]:
        """List all generations, oldest first."""
        catalog = await self.read()
        return [
            Generation(
                number=number,
                live=number == catalog.live,
                writable=number in catalog.write_aliases,
                documents=await self._documents(number),
            )
            for number in catalog.generations
        ]

    async def _documents(self, number: int) -> int:
        with answered():
            answer = await self._client.count(index=self.index(number), query=LIVE_ONLY)
        return int(answer["count"])

    async def _create_index(
        self, number: int, *, aliases: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        with translated():
            await self._client.indices.create(
                index=self.index(number),
                mappings=mappings(self._analyzer),
                settings=settings,
                aliases=aliases,
            )

    async def _update_aliases(self, actions: list[dict[str, Any]]) -> None:
        try:
            with translated():
                await self._client.indices.update_aliases(actions=actions)
        except ApiError as error:
            raise DependencyError(
                f"the generations of {self._name} changed meanwhile (is another reindex running?):"
                f" {error}"
            ) from error
