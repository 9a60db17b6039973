"""Traces through jobs, with OpenTelemetry (the extra `opentelemetry`).

The context of whoever publishes travels in the job's headers (`traceparent`, W3C Trace Context);
the work on the job is a span of the same trace, wherever and whenever it runs. Names and
attributes follow OpenTelemetry's semantic conventions for messaging. Without an SDK set up by the
program, spans go nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider

from shared.jobs import Job
from shared.pool.middleware import CallNext
from shared.pool.run import executions_of
from shared.queue.port import Published, Queue
from shared.verdicts import DeadLetter, Retry

SCOPE = "worker-suite"


class Tracing:
    """Middleware for a pool, and a traced `publish`, for one queue."""

    def __init__(
        self, system: str, queue: str, *, tracer_provider: TracerProvider | None = None
    ) -> None:
        """`system` is the broker (`redis`, `kafka`, ...), `queue` the name of the queue."""
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._queue = queue
        self._attributes: dict[str, Any] = {
            "messaging.system": system,
            "messaging.destination.name": queue,
        }

    async def publish(self, queue: Queue, jobs: Sequence[Job]) -> Published:
        """Publish within a span, from which the spans of the jobs descend. Raises as `publish`."""
        attributes = self._attributes | _operation("send") | _messages(jobs)
        with self._span(f"send {self._queue}", SpanKind.PRODUCER, attributes):
            return await queue.publish([with_trace_context(job) for job in jobs])

    async def __call__(self, work: Any, call_next: CallNext) -> Any:
        """Call the processor within a span; of a batch's jobs, it is linked to each."""
        executions = executions_of(work)
        jobs = [each.delivery.job for each in executions]
        attributes = self._attributes | _operation("process") | _messages(jobs)
        attributes["worker.job.type"] = jobs[0].type
        parent, links = None, [Link(context) for job in jobs if (context := _span_context(job))]
        if not isinstance(work, list):
            parent, links = trace_context_of(jobs[0]), []
            attributes["worker.job.attempt"] = executions[0].delivery.attempt
        with self._span(
            f"process {self._queue}", SpanKind.CONSUMER, attributes, parent, links
        ) as span:
            outcome = await call_next(work)
            _note_failures(span, outcome if isinstance(work, list) else (outcome,))
            return outcome

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Any],
        parent: Context | None = None,
        links: Sequence[Link] = (),
    ) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name,
            parent,
            kind=kind,
            attributes=attributes,
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:  # a timeout cancels: that is a failure too
                span.record_exception(error)
                _fail(span, type(error).__qualname__, str(error))
                raise


def with_trace_context(job: Job) -> Job:
    """Return the job with the present trace context in its headers; for a `publish` of your own."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    others = tuple(each for each in job.headers if each[0] not in carrier)
    return replace(job, headers=(*others, *carrier.items()))


def trace_context_of(job: Job) -> Context:
    """Return the trace context in a job's headers."""
    return propagate.extract(dict(job.headers))


def _span_context(job: Job) -> trace.SpanContext | None:
    context = trace.get_current_span(trace_context_of(job)).get_span_context()
    return context if context.is_valid else None


def _operation(name: str) -> dict[str, Any]:
    return {"messaging.operation.name": name, "messaging.operation.type": name}


def _messages(jobs: Sequence[Job]) -> dict[str, Any]:
    if len(jobs) != 1:
        return {"messaging.batch.message_count": len(jobs)}
    return {
        "messaging.message.id": jobs[0].id or jobs[0].key,
        "messaging.message.body.size": len(jobs[0].payload),
    }


def _note_failures(span: Span, verdicts: Any) -> None:
    for verdict in verdicts if isinstance(verdicts, Sequence) else ():
        if isinstance(verdict, Retry):
            _fail(span, "retry", verdict.error)
        elif isinstance(verdict, DeadLetter):
            _fail(span, "dead_letter", verdict.reason)


def _fail(span: Span, kind: str, description: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, description))
