"""Looks into a running process: the stacks of its tasks, and where its time goes."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import time
from collections import Counter
from types import FrameType

SAMPLE_SECONDS = 0.01
MAX_FRAMES = 200


def task_stacks() -> str:
    """Return every asyncio task of the running loop with its stack, as text."""
    out = io.StringIO()
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    out.write(f"{len(tasks)} tasks\n\n")
    for task in tasks:
        task.print_stack(file=out)
        out.write("\n")
    return out.getvalue()


def sample_stacks(seconds: float) -> str:
    """Sample all other threads for so long; return collapsed stacks, the most frequent first.

    Each line is `outermost;...;innermost count`, as flame graph tools read it. Costs the process
    about one per cent. Blocks: to be called in a thread of its own.
    """
    own = threading.get_ident()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    seen: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for ident, frame in sys._current_frames().items():
            if ident != own:
                seen[f"{names.get(ident, ident)};{_collapsed(frame)}"] += 1
        time.sleep(SAMPLE_SECONDS)
    return "".join(f"{stack} {times}\n" for stack, times in seen.most_common())


def _collapsed(frame: FrameType | None) -> str:
    parts: list[str] = []
    while frame is not None and len(parts) < MAX_FRAMES:
        code = frame.f_code
        parts.append(f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})")
        frame = frame.f_back
    return ";".join(reversed(parts))
