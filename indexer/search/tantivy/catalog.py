"""Which generations there are, and which is searched: one small file, replaced atomically."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from shared.errors import DependencyError

_FILE = "generations.json"


class Catalog(msgspec.Struct, frozen=True):
    """The fan-out's configuration."""

    epoch: int = 1
    live: int = 1
    generations: tuple[int, ...] = (1,)


def load(directory: Path) -> Catalog | None:
    """Return what the directory's catalog says; None when it has none yet.

    Raises DependencyError when the file cannot be understood.
    """
    try:
        return msgspec.json.decode((directory / _FILE).read_bytes(), type=Catalog)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise DependencyError(f"{directory / _FILE} is damaged: {error}") from error


def save(directory: Path, catalog: Catalog) -> None:
    """Replace the catalog; after a power cut there is the old one or the new one."""
    draft = directory / f"{_FILE}.new"
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(catalog))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(directory / _FILE)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
