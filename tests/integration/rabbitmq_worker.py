"""A consumer to be killed: `python -m tests.integration.rabbitmq_worker URL QUEUE LEDGER`.

Claims jobs, writes the key of each to the ledger, a file, and never settles any of them.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings

WANT = 3


async def main(url: str, name: str, ledger: str) -> None:
    """Hold jobs until killed."""
    queue = create_queue(QueueSettings(name=name), url)
    await queue.open("kill-test", ["job"])
    while True:
        answer = await queue.exchange([], WANT)
        with Path(ledger).open("a") as file:
            file.writelines(f"{each.job.key}\n" for each in answer.deliveries)
        await queue.wait(5.0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
