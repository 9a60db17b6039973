"""The example of progress and results in docs/your-own-worker.md runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from shared.jobs import new_job
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.queue.memory.broker import MemoryBroker
from shared.queue.memory.queue import MemoryQueue
from shared.queue.memory.results import MemoryJobResults
from shared.queue.port import JobOutcome, JobResults, QueueSettings
from shared.verdicts import Done, Settlement

PAGE = Path(__file__).parents[2] / "docs" / "your-own-worker.md"


class Table(msgspec.Struct):
    """The payload that the page leaves to its reader."""

    rows: int


async def test_progress_and_results_are_kept_as_the_page_says() -> None:
    (example,) = re.findall(r"```python\n(class ImportRows:.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {
        "Table": Table, "RetryPolicy": RetryPolicy, "JobResults": JobResults,
        "Execution": Execution, "Done": Done,
    }  # fmt: skip
    exec(example, names)
    broker = MemoryBroker()
    results, queue = MemoryJobResults(broker), MemoryQueue(QueueSettings(name="imports"), broker)
    job = new_job("import", {"rows": 3}, keep_result_seconds=60)
    await queue.publish([job])
    (delivery,) = (await queue.exchange([], 1)).deliveries
    verdict = await names["ImportRows"](results).process(Execution(Table(3), delivery))
    assert await results.outcome(job.key) == JobOutcome(state="running", progress={"row": 3})
    await queue.exchange([Settlement(delivery, verdict)], 0)
    found = await results.wait(job.key, timeout=60)
    assert found == JobOutcome(state="done", progress={"row": 3}, result={"rows": 3})
