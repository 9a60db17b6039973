"""dramatiq on Redis."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.queue.apps.ledger import QUEUE, URL, Ledger, payload, to_publish

broker = RedisBroker(url=URL, heartbeat_timeout=10_000)
dramatiq.set_broker(broker)
ledger = Ledger()


@dramatiq.actor(queue_name=QUEUE, min_backoff=1000)
def noop(job: dict[str, int]) -> None:
    """Do one job."""
    ledger.run_in_thread(job["n"], job["sleep_ms"])


if __name__ == "__main__":
    for numbers in to_publish(100):
        for n in numbers:
            noop.send(payload(n))
