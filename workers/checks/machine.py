"""The machine: Python, the data directory, and what the laptop mode starts by itself."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from shared.errors import DependencyError
from shared.extras import install
from workers.checks.finding import Checkup, Finding, unreachable

_LEAST_FREE_BYTES = 1 << 30


async def check(data: Path) -> Checkup:
    """Look at what the `workers` command itself needs."""
    return Checkup(
        name="This machine",
        where=platform.node(),
        version=f"Python {platform.python_version()}",
        findings=[_directory(data), _setpriv()],
    )


async def embedded(name: str, setting: str, program: Callable[[], Path]) -> Checkup:
    """Look whether `workers up` can start a server that no setting names."""
    try:
        where = str(program())
    except DependencyError as error:
        return unreachable(name, "nowhere", error, f"Or set {setting}.")
    what = f"{setting} is not set: `workers up` starts its own"
    return Checkup(name=name, where=where, version="embedded", findings=[Finding("ok", what)])


async def embedded_index() -> Checkup:
    """Look whether the embedded index is installed."""
    if importlib.util.find_spec("tantivy") is None:
        error = DependencyError("the package tantivy is not installed")
        advice = f"{install('tantivy')}, or set ELASTICSEARCH_URL."
        return unreachable("Search index", "nowhere", error, advice)
    what = "ELASTICSEARCH_URL is not set: the embedded Tantivy is used"
    return Checkup(
        name="Search index", where="TANTIVY_DIR", version="embedded", findings=[Finding("ok", what)]
    )


def _directory(data: Path) -> Finding:
    nearest = next(path for path in (data, *data.parents) if path.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        return Finding(
            "error", f"{data} cannot be written", "Set DATA_DIR to a directory of yours."
        )
    free = shutil.disk_usage(nearest).free
    if free < _LEAST_FREE_BYTES:
        return Finding("warning", f"{free // 2**20} MiB free for {data}", "Free disk space.")
    return Finding("ok", f"{data} can be written, {free // 2**30} GiB free")


def _setpriv() -> Finding:
    if shutil.which("setpriv") is None:
        return Finding(
            "warning",
            "setpriv is missing: the embedded servers cannot start",
            "Install the package util-linux.",
        )
    return Finding("ok", "setpriv is there: no server outlives the command that started it")
