"""Translates the errors of the Redis client into the suite's own; the most specific wins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from shared.errors import ConnectionLostError, DependencyError

_LOST = (
    exceptions.ConnectionError, exceptions.TimeoutError, OSError,
    exceptions.RedisClusterException,  # no RedisError: no node answers, or none has the slot
)  # fmt: skip
_PASSING = (
    "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "MISCONF", "NOREPLICAS",
    "UNBLOCKED",
)  # fmt: skip
"""First words of answers from a server that cannot serve now, but may in a while."""


@contextmanager
def translated(address: str) -> Iterator[None]:
    """Raise ConnectionLostError or DependencyError, naming the server, for a client's error.

    `address` is what people may read: host and port, never the URL with its password.
    """
    try:
        yield
    except (exceptions.AuthenticationError, exceptions.AuthorizationError) as error:
        raise DependencyError(f"Redis at {address} refused the login: {error}") from error
    except (exceptions.NoPermissionError, exceptions.AuthenticationWrongNumberOfArgsError) as error:
        raise DependencyError(f"Redis at {address} forbids this user: {error}") from error
    except _LOST as error:
        raise ConnectionLostError(f"lost Redis at {address}: {error}") from error
    except exceptions.OutOfMemoryError as error:
        raise ConnectionLostError(f"Redis at {address} has no memory left: {error}") from error
    except (exceptions.ReadOnlyError, exceptions.ClusterDownError, exceptions.TryAgainError) as e:
        raise ConnectionLostError(f"Redis at {address} cannot serve now: {e}") from e
    except exceptions.ResponseError as error:
        if str(error).startswith(_PASSING):
            raise ConnectionLostError(f"Redis at {address} cannot serve now: {error}") from error
        raise DependencyError(f"Redis at {address} answered: {error}") from error
    except exceptions.RedisError as error:
        raise ConnectionLostError(f"Redis at {address} answered nonsense: {error}") from error
