"""An open transaction of Postgres, opaque to everybody but its adapters."""

from __future__ import annotations

import asyncpg

from shared.postgres.port import Transaction


class PostgresTransaction:
    """Holds the connection whose transaction is open."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection


def connection_of(tx: Transaction) -> asyncpg.Connection:
    """Return the connection inside, for an adapter that writes in the caller's transaction.

    Raises TypeError for a transaction of another backend: that is a fault in the wiring.
    """
    if not isinstance(tx, PostgresTransaction):
        raise TypeError(f"a Postgres adapter was given a {type(tx).__name__}")
    return tx.connection
