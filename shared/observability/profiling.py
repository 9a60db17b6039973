"""Looks into a running process: the stacks of its tasks, and where its time goes."""

from __future__ import annotations

import asyncio
import signal
import traceback
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import Any

SAMPLE_SECONDS = 0.005
MAX_FRAMES = 200


def task_stacks() -> str:
    """Return every asyncio task of the running loop, each with its whole chain of awaits."""
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    parts = [f"{len(tasks)} tasks\n"]
    for task in tasks:
        stack = traceback.StackSummary.extract(
            (frame, frame.f_lineno) for frame in _awaiting(task.get_coro())
        )
        coroutine = getattr(task.get_coro(), "__qualname__", repr(task.get_coro()))
        parts.append(f"{task.get_name()} {coroutine}\n{''.join(stack.format())}")
    return "\n".join(parts)


async def profile(seconds: float) -> str:
    """Sample the main thread while it works; return collapsed stacks, the most frequent first.

    Each line is `outermost;...;innermost count`, as flame graph tools read it; a sample is 5 ms
    of CPU time, so an idle process has none. To be awaited in the main thread, once at a time.
    """
    seen: Counter[str] = Counter()
    # A signal arrives in the middle of the work. A thread would only ever look when the main
    # thread lets go of the interpreter, and see it waiting.
    signal.signal(signal.SIGPROF, lambda _, frame: seen.update((_collapsed(frame),)))
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)
    try:
        await asyncio.sleep(seconds)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
    lines = [f"{stack} {times}\n" for stack, times in seen.most_common()]
    return f"# {seen.total()} samples of {SAMPLE_SECONDS * 1000:g} ms CPU time\n{''.join(lines)}"


def _awaiting(coroutine: Any) -> Iterator[FrameType]:
    # Task.get_stack() shows only the outermost frame of a task that waits.
    for _ in range(MAX_FRAMES):
        for kind in ("cr", "gi", "ag"):
            if (frame := getattr(coroutine, f"{kind}_frame", None)) is not None:
                yield frame
                inner = "gi_yieldfrom" if kind == "gi" else f"{kind}_await"
                coroutine = getattr(coroutine, inner)
                break
        else:
            return


def _collapsed(frame: FrameType | None) -> str:
    parts: list[str] = []
    while frame is not None and len(parts) < MAX_FRAMES:
        code = frame.f_code
        parts.append(f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})")
        frame = frame.f_back
    return ";".join(reversed(parts))
