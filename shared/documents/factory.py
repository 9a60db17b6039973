"""Chooses the document store that goes with a database."""

from __future__ import annotations

from shared.documents.port import DocumentStore
from shared.postgres.memory import MemoryDatabase
from shared.postgres.port import Database


async def open_documents(database: Database) -> DocumentStore:
    """Return the store on an opened database, its tables created or updated.

    Raises DependencyError when the tables cannot be made.
    """
    if isinstance(database, MemoryDatabase):
        from shared.documents.memory import MemoryDocumentStore

        return MemoryDocumentStore(database)
    from shared.documents.postgres import PostgresDocumentStore
    from shared.postgres.database import PostgresDatabase

    if not isinstance(database, PostgresDatabase):
        raise TypeError(f"there is no document store on a {type(database).__name__}")
    store = PostgresDocumentStore(database)
    await store.open()
    return store
