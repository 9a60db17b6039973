"""Translates the errors of asyncpg into the suite's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from shared.errors import (
    ConnectionLostError,
    DependencyError,
    PermanentError,
    TransientError,
    WorkerSuiteError,
)

_SHUTTING_DOWN = {"57P01", "57P02", "57P03", "57P05"}
_MAY_PASS = {
    "25": "read-only: the server may be a standby",
    "40": "conflict between transactions",
    "53": "out of resources",
    "55": "locked, or not in a state for it",
    "57": "cancelled by the server",
    "58": "system error of the server",
}
_REFUSED_AT_LOGIN = {"28", "3D", "42"}


@contextmanager
def translated() -> Iterator[None]:
    """Raise what asyncpg raises inside as ConnectionLostError, TransientError or PermanentError."""
    try:
        yield
    except WorkerSuiteError:
        raise
    except asyncpg.PostgresError as error:
        raise _of_server(error) from error
    except (asyncpg.InternalClientError, asyncpg.InterfaceError) as error:
        raise _of_client(error) from error
    except (ConnectionError, TimeoutError) as error:
        raise ConnectionLostError(f"Postgres did not answer: {_text(error)}") from error


@contextmanager
def translated_connecting(address: str) -> Iterator[None]:
    """Raise failures to connect; `address` names the server without its password.

    Raises DependencyError when trying again cannot help, else ConnectionLostError.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _of_login(error, address) from error
    except (asyncpg.ClientConfigurationError, ValueError) as error:
        # The client's own words may hold the URL, and with it the password.
        raise DependencyError(
            "DATABASE_URL cannot be used: expected postgresql://user:password@host:port/database"
            f" (the client says {type(error).__name__})"
        ) from None
    except (asyncpg.InternalClientError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise ConnectionLostError(
            f"Postgres cannot be reached at {address}: {_text(error)}"
        ) from error


def _of_server(error: asyncpg.PostgresError) -> WorkerSuiteError:
    state = error.sqlstate or ""
    if state.startswith("08") or state in _SHUTTING_DOWN:
        return ConnectionLostError(f"Postgres closed the connection: {error}")
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return TransientError(f"a table changed its columns meanwhile: {error}")
    if reason := _MAY_PASS.get(state[:2]):
        return TransientError(f"Postgres refused for now ({reason}): {error}")
    return PermanentError(f"Postgres refused (SQLSTATE {state}): {error}")


def _of_client(error: Exception) -> WorkerSuiteError:
    if isinstance(error, asyncpg.OutdatedSchemaCacheError):
        return TransientError(f"a table changed its columns meanwhile: {error}")
    if isinstance(error, asyncpg.DataError):
        return PermanentError(f"a value does not fit its column: {error}")
    return ConnectionLostError(f"the connection to Postgres broke: {error}")


def _of_login(error: asyncpg.PostgresError, address: str) -> WorkerSuiteError:
    state = error.sqlstate or ""
    if state == "08P01" and "startup parameter" in str(error):
        return DependencyError(
            f"Postgres at {address} is behind a transaction pooler ({error});"
            " connect to the server itself or to a session pool"
        )
    if state[:2] in _REFUSED_AT_LOGIN:
        return DependencyError(f"Postgres at {address} refused the login: {error}")
    return ConnectionLostError(f"Postgres at {address} takes no connection now: {error}")


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
