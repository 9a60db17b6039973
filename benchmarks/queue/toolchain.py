"""Builds the peers into `.cache/bench`: Go programs, Node modules, an environment a Python peer.

What is already built from the same sources is not built again.
"""

from __future__ import annotations

import fcntl
import hashlib
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


def build_venv(name: str, requirements: Path | None = None) -> None:
    """Make the environment of a Python program from its pinned requirements."""
    pinned = requirements or HERE / "requirements" / f"{name}.txt"

    def build(target: Path) -> None:
        uv = str(ROOT / "scripts" / "uv")
        _run([uv, "venv", "--quiet", "--allow-existing", "--python", ">=3.11", str(target)])
        python = str(target / "bin" / "python")
        _run(
            [
                uv,
                "pip",
                "install",
                "--quiet",
                "--compile-bytecode",
                "--python",
                python,
                "-r",
                str(pinned),
            ]
        )

    _once(VENVS / name, [pinned], build)


def build_ours() -> None:
    """Make an environment with what `make setup` installs, and nothing that only tests need.

    It matters: redis-py loads the SDK of OpenTelemetry where it finds it.
    """
    build_venv("ours", ROOT / "requirements" / "runtime.lock")


def _build_go(target: Path) -> None:
    _run([_program("go"), "build", "-o", f"{target}/", "./..."], cwd=HERE / "go")


def _build_node(target: Path) -> None:
    shutil.copytree(HERE / "node", target, dirs_exist_ok=True)
    quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    _run([_program("npm"), "install", *quiet], cwd=target)


def _once(target: Path, sources: Iterable[Path], build: Callable[[Path], None]) -> None:
    """Call `build` unless `target` was built from these sources."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run at the same time build once
        _unless_built(target, sources, build)


def _unless_built(target: Path, sources: Iterable[Path], build: Callable[[Path], None]) -> None:
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.read_bytes())
    stamp = target / ".built-from"
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    build(target)
    stamp.write_text(digest.hexdigest())


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise DependencyError(f"{name} is not installed: it builds a program of the benchmark")
    return found


def _run(command: Sequence[str], cwd: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise DependencyError(f"{' '.join(command)}\n{done.stdout}{done.stderr}".rstrip())
