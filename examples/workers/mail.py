"""worker-mail: LPUSH mail:jobs '{"type": "send", "payload": {"to": "ada", "text": "hello"}}'."""

import sys

import msgspec

from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.queue_worker import run_queue_worker
from shared.verdicts import Done


class Letter(msgspec.Struct):
    to: str
    text: str


class SendLetter:
    job_type = "send"
    payload_type = Letter
    timeout_seconds = 30.0
    retry = RetryPolicy(max_attempts=5)

    async def process(self, execution: Execution[Letter]) -> Done:
        print(f"to {execution.payload.to}: {execution.payload.text}", flush=True)
        return Done()


if __name__ == "__main__":
    sys.exit(run_queue_worker("mail", "mail:jobs", [SendLetter()]))
