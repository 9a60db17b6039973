"""A trace goes through the job: from whoever publishes to the work, by headers alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared.clock import FrozenClock
from shared.jobs import new_job
from shared.pool.tracing import Tracing, with_trace_context
from shared.queue.factory import create_queue
from shared.queue.port import Queue, QueueSettings
from shared.verdicts import DeadLetter, Done, Retry
from tests.unit.pool_source import Batcher, DirectedSource, Worker, delivery, pool_on


class Traces:
    """A tracing whose spans the test reads."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")
        self.tracing = Tracing("memory", "orders", tracer_provider=self.provider)

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def traces() -> Iterator[Traces]:
    made = Traces()
    yield made
    made.provider.shutdown()


def memory_queue(name: str) -> Queue:
    return create_queue(QueueSettings(name=name), "memory://")


async def claimed(queue: Queue, count: int) -> DirectedSource:
    await queue.open("test", ["work"])
    answer = await queue.exchange([], count)
    assert len(answer.deliveries) == count
    return DirectedSource(*answer.deliveries)


async def done(_):
    return Done()


async def test_the_work_is_in_the_trace_of_whoever_published(traces: Traces) -> None:
    queue = memory_queue("traced")
    job = new_job("work", {}, id="order-7")
    with traces.tracer.start_as_current_span("request") as request:
        await traces.tracing.publish(queue, [job])
    source = await claimed(queue, 1)
    [delivered] = source.waiting
    async with pool_on(source, Worker(done), middleware=[traces.tracing]):
        await source.verdict_of(delivered)
    [send], [process] = traces.spans("send orders"), traces.spans("process orders")
    assert send.parent == request.get_span_context()
    assert process.parent is not None
    assert process.parent.span_id == send.context.span_id
    assert process.parent.is_remote
    assert process.context.trace_id == request.get_span_context().trace_id
    assert (send.kind, process.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)


async def test_attributes_follow_the_conventions_for_messaging(traces: Traces) -> None:
    job = delivery(payload=b'{"name":"x"}', attempt=2)
    source = DirectedSource(job)
    async with pool_on(source, Worker(done), middleware=[traces.tracing]):
        await source.verdict_of(job)
    [span] = traces.spans("process orders")
    assert span.attributes == {
        "messaging.system": "memory",
        "messaging.destination.name": "orders",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": job.job.id,
        "messaging.message.body.size": 12,
        "worker.job.type": "work",
        "worker.job.attempt": 2,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is None


async def test_spans_of_the_processor_are_below_the_jobs(traces: Traces) -> None:
    async def work(_):
        with traces.tracer.start_as_current_span("inner"):
            await asyncio.sleep(0)
        return Done()

    jobs = [delivery() for _ in range(3)]
    source = DirectedSource(*jobs)
    async with pool_on(source, Worker(work), middleware=[traces.tracing]):
        for job in jobs:
            await source.verdict_of(job)
    parents = {span.parent.span_id for span in traces.spans("inner") if span.parent}
    assert parents == {span.context.span_id for span in traces.spans("process orders")}
    assert len(parents) == 3
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize(
    ("verdict", "kind", "said"),
    [(Retry("busy", after=1.0), "retry", "busy"), (DeadLetter("bad"), "dead_letter", "bad")],
)
async def test_a_failed_verdict_is_an_error(traces: Traces, verdict, kind, said) -> None:
    async def work(_):
        return verdict

    job = delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(work), middleware=[traces.tracing]):
        await source.verdict_of(job)
    [span] = traces.spans("process orders")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, said)
    assert span.attributes is not None
    assert span.attributes["error.type"] == kind


async def test_what_a_processor_raises_is_recorded_and_still_decides(traces: Traces) -> None:
    async def work(_):
        raise LookupError("gone")

    job = delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(work), middleware=[traces.tracing]):
        verdict = await source.verdict_of(job)
    assert isinstance(verdict, Retry)
    assert verdict.error == "LookupError: gone"
    [span] = traces.spans("process orders")
    assert span.attributes is not None
    assert span.attributes["error.type"] == "LookupError"
    assert [event.name for event in span.events] == ["exception"]
    assert span.status.status_code is StatusCode.ERROR


async def test_a_timeout_is_an_error(traces: Traces) -> None:
    clock, begun, job = FrozenClock(), asyncio.Event(), delivery()

    async def work(_):
        begun.set()
        await asyncio.Event().wait()
        return Done()

    source = DirectedSource(job)
    worker = Worker(work, timeout_seconds=5)
    async with pool_on(source, worker, clock=clock, middleware=[traces.tracing]):
        await begun.wait()
        clock.advance(5)
        await source.verdict_of(job)
    [span] = traces.spans("process orders")
    assert span.attributes is not None
    assert span.attributes["error.type"] == "CancelledError"


async def test_a_batch_is_one_span_linked_to_each_publish(traces: Traces) -> None:
    queue = memory_queue("traced-batch")
    for _ in range(2):
        await traces.tracing.publish(queue, [new_job("work", {})])
    await queue.publish([new_job("work", {})])  # by somebody who does not trace
    source = await claimed(queue, 3)
    delivered = list(source.waiting)

    async def work(batch):
        return [Done(), Done(), DeadLetter("bad")]

    async with pool_on(source, Batcher(work, batch_size=3), middleware=[traces.tracing]):
        for each in delivered:
            await source.verdict_of(each)
    [span] = traces.spans("process orders")
    sends = {send.context.span_id for send in traces.spans("send orders")}
    assert {link.context.span_id for link in span.links} == sends
    assert len(sends) == 2
    assert span.parent is None
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 3
    assert span.status.status_code is StatusCode.ERROR


def test_other_headers_stay_and_an_old_trace_context_is_replaced(traces: Traces) -> None:
    job = new_job("work", {}, headers=(("tenant", "a"), ("traceparent", "00-old")))
    with traces.tracer.start_as_current_span("request") as request:
        headers = with_trace_context(job).headers
    context = request.get_span_context()
    ids = f"{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    assert headers == (("tenant", "a"), ("traceparent", f"00-{ids}"))


async def test_a_header_that_is_no_trace_context_starts_a_new_trace(traces: Traces) -> None:
    job = delivery()
    odd = replace(job, job=replace(job.job, headers=(("traceparent", "nonsense"),)))
    source = DirectedSource(odd)
    async with pool_on(source, Worker(done), middleware=[traces.tracing]):
        assert await source.verdict_of(odd) == Done()
    [span] = traces.spans("process orders")
    assert span.parent is None
