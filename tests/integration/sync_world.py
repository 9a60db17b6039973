"""A world around the sync tests: the user's tables, and a target that keeps the highest stamp."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from shared.contracts.source_definition import ChildTable, SourceDefinition
from shared.documents.port import DocumentKey, DocumentStore
from sync.sources.port import ChangeSource

TABLES = """
CREATE SCHEMA shop;
CREATE TABLE shop.recipes (id bigint PRIMARY KEY, title text, hidden boolean DEFAULT false);
CREATE TABLE shop.steps (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, recipe_id bigint, text text);
CREATE TABLE shop.authors (id bigint PRIMARY KEY, name text);
CREATE TABLE shop.written_by (recipe_id bigint, author_id bigint);
"""

RECIPES = SourceDefinition(
    source="recipes",
    table="recipes",
    key="id",
    schemas=["shop", "public"],
    documents="""
        SELECT r.id::text, jsonb_build_object(
            'title', r.title,
            'steps', (SELECT coalesce(jsonb_agg(s.text ORDER BY s.id), '[]')
                      FROM steps s WHERE s.recipe_id = r.id),
            'authors', (SELECT coalesce(jsonb_agg(a.name ORDER BY a.id), '[]')
                        FROM written_by w JOIN authors a ON a.id = w.author_id
                        WHERE w.recipe_id = r.id))
        FROM recipes r WHERE r.id = ANY ($1::bigint[]) AND NOT r.hidden;
        """,
    children=[
        ChildTable(table="steps", keys="SELECT recipe_id FROM changed"),
        ChildTable(table="written_by", keys="SELECT recipe_id FROM changed;"),
        ChildTable(
            table="shop.authors",
            keys="SELECT w.recipe_id FROM changed JOIN written_by w ON w.author_id = changed.id",
        ),
    ],
)


class Target:
    """Keeps, for each document, what was written under the highest stamp; None is a tombstone."""

    def __init__(self) -> None:
        self._held: dict[DocumentKey, tuple[int, bytes | None]] = {}

    def write(self, key: DocumentKey, stamp: int, body: bytes | None) -> None:
        if stamp > self._held.get(key, (-1, None))[0]:
            self._held[key] = (stamp, body)

    def live(self, source: str) -> dict[str, Any]:
        return {
            key.id: json.loads(body)
            for key, (_, body) in self._held.items()
            if key.source == source and body is not None
        }


async def reconcile(store: DocumentStore, target: Target, keys: Sequence[DocumentKey]) -> None:
    for source in {key.source for key in keys}:
        ids = [key.id for key in keys if key.source == source]
        read = await store.read(source, ids)
        for document in read.documents:
            target.write(DocumentKey(source, document.id), read.stamp, document.body)


async def settle(changes: ChangeSource, store: DocumentStore, target: Target) -> list[DocumentKey]:
    """Relay and reconcile until nothing waits; return the keys that changed, in order, once."""
    seen: set[DocumentKey] = set()

    async def publish(keys: Sequence[DocumentKey]) -> None:
        seen.update(keys)
        await reconcile(store, target, keys)

    while await changes.relay(publish, 100):
        pass
    return sorted(seen)
