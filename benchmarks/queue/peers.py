"""Who is measured: command lines, and what each needs. Settings that matter are in `apps`, `go`
and `node`, each as its own documentation advises for many small jobs in one process."""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec

from benchmarks.queue.toolchain import (
    GO,
    NODE,
    VENVS,
    build_go,
    build_node,
    build_ours,
    build_venv,
)

OURS, GO_WORKER = "ours", "go-worker"
APPS = "benchmarks.queue.apps"
OURS_PYTHON = VENVS / "ours" / "bin" / "python"


def _nothing() -> None:
    """Nothing is to be built."""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """One worker with its producer."""

    name: str
    work: tuple[str, ...]
    """Command line; `{slots}` is filled in."""
    publish: tuple[str, ...]
    slots: int
    """Jobs at once in the no-op runs."""
    jobs: int
    """How many no-op jobs make a run of a few seconds."""
    broker: str = "redis"
    language: str = "Python"
    forks: bool = False
    """It runs as many processes as BENCH_PROCESSES says; others are started that often."""
    build: Callable[[], None] = _nothing


def _build_both() -> None:
    build_ours()
    build_go()


def _build_all() -> None:
    _build_both()
    build_node()


def _ours() -> Peer:
    module = (str(OURS_PYTHON), "-m", f"{APPS}.ours")
    return Peer(
        name=OURS,
        work=(*module, "work"),
        publish=(*module, "publish"),
        slots=200,
        jobs=200_000,
        forks=True,
        build=build_ours,
    )


def _go(program: str, name: str, slots: int, *flags: str, **more: object) -> Peer:
    path = str(GO / program)
    fields = {"jobs": 40_000, "language": "Go"} | more
    return Peer(
        name=name,
        work=(path, *flags),
        publish=(path, "-publish"),
        slots=slots,
        build=build_go,
        **fields,  # type: ignore[arg-type]
    )


def _python(name: str, slots: int, jobs: int, *work: str, **more: object) -> Peer:
    binaries = VENVS / name / "bin"
    return Peer(
        name=name,
        work=(str(binaries / work[0]), *work[1:]),
        publish=(str(binaries / "python"), "-m", f"{APPS}.{name}_app"),
        slots=slots,
        jobs=jobs,
        build=lambda: build_venv(name),
        **more,  # type: ignore[arg-type]
    )


ours = _ours()
ours_from_go = msgspec.structs.replace(
    ours,
    name="ours, LPUSH by Go",
    publish=(str(GO / "goworker"), "-publish"),
    build=_build_both,
)
ours_from_node = msgspec.structs.replace(
    ours, name="ours, LPUSH by Node", publish=("node", str(NODE / "producer.mjs")), build=_build_all
)
go_worker = _go("goworker", GO_WORKER, 10)
go_worker_logging = _go("goworker", "go-worker, logs", 10, "-logs")

PEERS = (
    ours,
    go_worker,
    go_worker_logging,
    _go("riverworker", "river", 2_000, broker="postgres"),
    Peer(
        name="bullmq",
        work=("node", str(NODE / "bullmq.mjs"), "work"),
        publish=("node", str(NODE / "bullmq.mjs"), "publish"),
        slots=100,
        jobs=40_000,
        language="Node",
        build=build_node,
    ),
    _go("asynqworker", "asynq", 100, jobs=20_000),
    _python(
        "taskiq", 100, 8_000,
        "taskiq", "worker", f"{APPS}.taskiq_app:broker", "--workers", "1",
        "--max-async-tasks", "{slots}", "--max-prefetch", "100", "--log-level", "WARNING",
    ),
    _python(
        "dramatiq", 8, 6_000,
        "dramatiq", f"{APPS}.dramatiq_app", "--processes", "1", "--threads", "{slots}",
    ),
    _python("arq", 100, 3_000, "arq", f"{APPS}.arq_app.WorkerSettings"),
    _python("saq", 50, 5_000, "saq", f"{APPS}.saq_app.settings", "--quiet"),
    _python(
        "celery", 1, 3_000,
        "celery", "-A", f"{APPS}.celery_app", "worker", "--pool", "solo", "--loglevel", "WARNING",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ),
    _python(
        "faststream", 100, 8_000,
        "faststream", "run", f"{APPS}.faststream_app:app", "--log-level", "warning",
    ),
    _python("streaq", 100, 5_000, "streaq", "run", f"{APPS}.streaq_app:worker"),
)  # fmt: skip

PYTHON_PEERS = tuple(
    peer.name for peer in PEERS if peer.language == "Python" and not peer.name.startswith(OURS)
)


ours_here = msgspec.structs.replace(
    ours,
    work=(sys.executable, *ours.work[1:]),
    publish=(sys.executable, *ours.publish[1:]),
)
"""Ours in the environment that runs the benchmark; it has the OpenTelemetry SDK."""


def with_slots(peer: Peer, slots: int) -> Peer:
    """Return the peer with another number of jobs at once."""
    return msgspec.structs.replace(peer, name=f"{peer.name}, {slots} slots", slots=slots)
