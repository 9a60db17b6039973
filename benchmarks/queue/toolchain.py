"""Builds the peers into `.cache/bench`: Go programs, Node modules, an environment a Python peer.

What is already built from the same sources is not built again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from shared.errors import DependencyError

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CACHE = ROOT / ".cache" / "bench"
GO, NODE, VENVS = CACHE / "go", CACHE / "node", CACHE / "venv"


def build_go() -> None:
    """Build the Go worker, asynq's and river's."""
    sources = [path for path in (HERE / "go").rglob("*") if path.is_file()]
    _once(GO, sources, _build_go)


def build_node() -> None:
    """Fetch the Node modules, and put our programs beside them, where Node looks for modules."""
    _once(NODE, list((HERE / "node").iterdir()), _build_node)


def build_venv(name: str) -> None:
    """Make the environment of a Python peer from its pinned requirements."""
    requirements = HERE / "requirements" / f"{name}.txt"

    def build(target: Path) -> None:
        uv = str(ROOT / "scripts" / "uv")
        _run([uv, "venv", "--quiet", "--relocatable", "--python", ">=3.11", str(target)])
        python = str(target / "bin" / "python")
        _run([uv, "pip", "install", "--quiet", "--python", python, "-r", str(requirements)])

    _once(VENVS / name, [requirements], build)


def _build_go(target: Path) -> None:
    _run([_program("go"), "build", "-o", f"{target}/", "./..."], cwd=HERE / "go")


def _build_node(target: Path) -> None:
    shutil.copytree(HERE / "node", target, dirs_exist_ok=True)
    quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    _run([_program("npm"), "install", *quiet], cwd=target)


def _once(target: Path, sources: Iterable[Path], build: Callable[[Path], None]) -> None:
    """Call `build` unless `target` was built from these sources; never leave half of it."""
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.read_bytes())
    stamp = target / ".built-from"
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        build(unfinished)
        (unfinished / stamp.name).write_text(digest.hexdigest())
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise DependencyError(f"{name} is not installed: it builds a program of the benchmark")
    return found


def _run(command: Sequence[str], cwd: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise DependencyError(f"{' '.join(command)}\n{done.stdout}{done.stderr}".rstrip())
