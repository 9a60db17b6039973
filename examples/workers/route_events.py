"""worker-route-events: takes events that other systems publish, and routes them to job queues.

The events are no jobs: any JSON object with a `kind`, in a Kafka topic, on a NATS subject, in a
RabbitMQ queue or in a Redis list named `events`. QUEUE_URL says which; JOBS_URL is the broker of
the queues that they are routed to (default: the same).

    QUEUE_URL=kafka://127.0.0.1:9092 JOBS_URL=redis://127.0.0.1:6379/0 python route_events.py
    {"kind": "order.paid", "order": 7}      becomes a job `order.paid` of billing:jobs
"""

import os
import sys

import msgspec

from shared.jobs import Job
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.queue.factory import create_queue
from shared.queue.port import Queue, QueueSettings
from shared.queue_worker import run_queue_worker
from shared.verdicts import Discard, Done, Verdict

ROUTES = {"order.": "billing:jobs", "user.": "crm:jobs"}
"""Queue by the beginning of an event's kind."""


class Event(msgspec.Struct):
    """What every event has; the rest is passed on as it is."""

    kind: str


def event(raw: bytes) -> Job:
    """Make a job of a foreign message; what is no event becomes a dead letter with its bytes."""
    msgspec.json.decode(raw, type=Event)
    return Job(type="event", payload=raw)


class RouteEvent:
    """Publishes an event to the queue it belongs to."""

    job_type = "event"
    payload_type = msgspec.Raw
    timeout_seconds = 30.0
    retry = RetryPolicy(max_attempts=20)

    def __init__(self) -> None:
        self._queues: dict[str, Queue] = {}

    async def process(self, execution: Execution[msgspec.Raw]) -> Verdict:
        """Route one event. Its key becomes the job's key, so routing it twice publishes once."""
        kind = msgspec.json.decode(execution.payload, type=Event).kind
        target = next((queue for start, queue in ROUTES.items() if kind.startswith(start)), None)
        if target is None:
            return Discard(f"no route for {kind}")
        job = Job(type=kind, payload=bytes(execution.payload), key=execution.delivery.job.key)
        await self._queue(target).publish([job])
        return Done()

    def _queue(self, name: str) -> Queue:
        if name not in self._queues:
            url = os.environ.get("JOBS_URL") or os.environ["QUEUE_URL"]
            self._queues[name] = create_queue(QueueSettings(name=name), url)
        return self._queues[name]


if __name__ == "__main__":
    sys.exit(run_queue_worker("route-events", "events", [RouteEvent()], decoder=event))
