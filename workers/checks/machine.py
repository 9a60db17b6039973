"""The machine: Python, the data directory, and the servers of the laptop mode."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from shared.embedded.postgres import wheel_programs
from shared.embedded.valkey import wheel_program
from shared.errors import DependencyError
from workers.checks.finding import Checkup, Finding

_LEAST_FREE_BYTES = 1 << 30


async def check(data: Path) -> Checkup:
    """Look at what the embedded servers and the logs need."""
    findings = [
        _directory(data),
        _wheel("Postgres", wheel_programs),
        _wheel("Valkey", wheel_program),
        _setpriv(),
    ]
    return Checkup(
        name="This machine",
        where=platform.node(),
        version=f"Python {platform.python_version()}",
        findings=findings,
    )


def _directory(data: Path) -> Finding:
    nearest = next(path for path in (data, *data.parents) if path.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Finding(
            "error", f"{data} cannot be written", "Set DATA_DIR to a directory of yours."
        )
    free = shutil.disk_usage(nearest).free
    if free < _LEAST_FREE_BYTES:
        return Finding("warning", f"{free // 2**20} MiB free for {data}", "Free disk space.")
    return Finding("ok", f"{data} can be written, {free // 2**30} GiB free")


def _wheel(name: str, program: Callable[[], Path]) -> Finding:
    try:
        found = program()
    except DependencyError as error:
        return Finding("warning", f"no embedded {name}", str(error))
    return Finding("ok", f"embedded {name} in {found}")


def _setpriv() -> Finding:
    if shutil.which("setpriv") is None:
        return Finding(
            "warning",
            "setpriv is missing: the embedded servers cannot start",
            "Install the package util-linux.",
        )
    return Finding("ok", "setpriv is there: no server outlives the command that started it")
