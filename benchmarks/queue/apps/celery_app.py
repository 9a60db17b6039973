"""celery on Redis, acknowledging late, without results, events or remote control."""

from __future__ import annotations

from celery import Celery

from benchmarks.queue.apps.ledger import QUEUE, URL, Ledger, payload, to_publish

app = Celery("bench", broker=URL)
app.conf.update(
    task_default_queue=QUEUE,
    task_acks_late=True,
    task_ignore_result=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=64,
    worker_enable_remote_control=False,
    broker_transport_options={"visibility_timeout": 10},
    broker_connection_retry_on_startup=True,
)
ledger = Ledger()


@app.task(name="noop")
def noop(job: dict[str, int]) -> None:
    """Do one job."""
    ledger.run_in_thread(job["n"], job["sleep_ms"])


if __name__ == "__main__":
    with app.producer_or_acquire() as producer:
        for numbers in to_publish(100):
            for n in numbers:
                noop.apply_async((payload(n),), producer=producer)
