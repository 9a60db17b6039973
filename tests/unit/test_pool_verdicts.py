"""Whatever a processor returns or raises is one verdict, and never stops the worker."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
import pytest

from shared.errors import ConfigError, PermanentError, TransientError
from shared.pool.retry_policy import MAX_REASON_CHARACTERS
from shared.verdicts import DeadLetter, Deferred, Discard, Done, Retry, Snooze
from tests.unit.pool_source import DirectedSource, Worker, delivery, pool_on


class OwnBaseError(BaseException):
    pass


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def _recurse() -> None:
    _recurse()


RAISED = [
    ValueError("odd"),
    TransientError("later"),
    TimeoutError("own"),
    OwnBaseError("base"),
    SystemExit(3),
    KeyboardInterrupt(),
    StopIteration(1),
    StopAsyncIteration(),
    GeneratorExit(),
    asyncio.CancelledError(),
    MemoryError(),
    UnspeakableError(),
    UnicodeError("\udcff"),
    ExceptionGroup("many", [ValueError("one")]),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda e: type(e).__name__)
async def test_anything_raised_is_a_retry_and_the_worker_goes_on(error: BaseException) -> None:
    bad, good = delivery(payload=b'{"name":"bad"}'), delivery()

    async def work(execution):
        if execution.payload.name == "bad":
            raise error
        return Done()

    source = DirectedSource(bad)
    async with pool_on(source, Worker(work)) as bench:
        verdict = await source.verdict_of(bad)
        source.add(good)
        assert await source.verdict_of(good) == Done()
        assert bench.count("worker_jobs_processed_total", "work", "failure") == 1
        assert bench.count("worker_jobs_processed_total", "work", "success") == 1
        assert bench.count("worker_slots_busy") == 0
    assert isinstance(verdict, Retry)
    assert verdict.after is not None
    verdict.error.encode()  # can be stored


async def test_endless_recursion_is_a_retry() -> None:
    job = delivery()

    async def work(_):
        _recurse()
        return Done()

    source = DirectedSource(job)
    async with pool_on(source, Worker(work)):
        verdict = await source.verdict_of(job)
    assert isinstance(verdict, Retry)
    assert verdict.error.startswith("RecursionError")


@pytest.mark.parametrize("error", [PermanentError("no"), ConfigError("wrong")])
async def test_permanent_errors_are_dead_letters(error: Exception) -> None:
    job = delivery()

    async def work(_):
        raise error

    source = DirectedSource(job)
    async with pool_on(source, Worker(work)) as bench:
        verdict = await source.verdict_of(job)
        assert bench.count("worker_dead_letters_total", "work") == 1
        assert bench.count("worker_verdicts_total", "work", "dead_letter") == 1
    assert verdict == DeadLetter(f"{type(error).__name__}: {error}")


async def test_the_last_attempt_is_a_dead_letter() -> None:
    job = delivery(attempt=3)

    async def work(_):
        raise ValueError("again")

    source = DirectedSource(job)
    async with pool_on(source, Worker(work)):
        verdict = await source.verdict_of(job)
    assert verdict == DeadLetter("ValueError: again (attempt 3 of 3)")


@pytest.mark.parametrize(
    ("verdict", "name", "status"),
    [
        (Done(result=7), "done", "success"),
        (Discard("out of scope"), "discard", "success"),
        (Snooze(after=5.0), "snooze", "success"),
        (Retry("busy", after=2.0), "retry", "failure"),
        (DeadLetter("broken"), "dead_letter", "failure"),
    ],
)
async def test_verdicts_reach_the_source_as_they_are(verdict, name, status) -> None:
    job = delivery()

    async def work(_):
        return verdict

    source = DirectedSource(job)
    async with pool_on(source, Worker(work)) as bench:
        assert await source.verdict_of(job) == verdict
        assert bench.count("worker_verdicts_total", "work", name) == 1
        assert bench.count("worker_jobs_processed_total", "work", status) == 1


async def test_a_retry_without_a_delay_is_resolved_by_the_policy() -> None:
    first, last = delivery(attempt=1), delivery(attempt=3)

    async def work(_):
        return Retry("busy")

    source = DirectedSource(first, last)
    async with pool_on(source, Worker(work)):
        retry = await source.verdict_of(first)
        assert isinstance(retry, Retry)
        assert retry.after is not None
        assert 0 <= retry.after <= 1.0
        assert await source.verdict_of(last) == DeadLetter("busy (attempt 3 of 3)")


async def test_what_is_no_verdict_counts_as_raised() -> None:
    job = delivery()

    async def work(_):
        return None

    source = DirectedSource(job)
    async with pool_on(source, Worker(work)):
        verdict = await source.verdict_of(job)
    assert isinstance(verdict, Retry)
    assert "NoneType, not a verdict" in verdict.error


class OwnDone(Done, frozen=True):
    """Looks like a verdict, and no work source knows it."""


ANYTHING = cast(Any, UnspeakableError())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (DeadLetter(ANYTHING), "DeadLetter with a reason that is no text"),
        (Discard(ANYTHING), "Discard with a reason that is no text"),
        (Retry(ANYTHING), "Retry with an error that is no text"),
        (Retry("busy", float("nan")), "Retry with a delay that is none"),
        (Retry("busy", ANYTHING), "Retry with a delay that is none"),
        (Snooze(float("inf")), "Snooze with a delay that is none"),
        (Snooze(1e300), "Snooze with a delay that is none"),
        (Snooze(cast(Any, None)), "Snooze with a delay that is none"),
        (Deferred(ANYTHING), "Deferred, not a verdict"),
        (OwnDone(), "OwnDone, not a verdict"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_verdict_that_no_queue_could_keep_counts_as_raised(answer: Any, told: str) -> None:
    bad, good = delivery(payload=b'{"name":"bad"}'), delivery()

    async def work(execution):
        return answer if execution.payload.name == "bad" else Done()

    source = DirectedSource(bad)
    async with pool_on(source, Worker(work), workers=1):
        verdict = await source.verdict_of(bad)
        source.add(good)
        assert await source.verdict_of(good) == Done()
    assert isinstance(verdict, Retry)
    assert told in verdict.error
    assert verdict.after is not None
    assert 0 <= verdict.after <= 1


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (DeadLetter("file \udcff"), DeadLetter("file \\udcff")),
        (Retry("file \udcff", 2), Retry("file \\udcff", 2.0)),
        (Discard("no" * MAX_REASON_CHARACTERS), Discard("no" * (MAX_REASON_CHARACTERS // 2))),
        (Snooze(-3), Snooze(0.0)),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_verdict_reaches_the_source_as_any_queue_can_keep_it(answer, kept) -> None:
    job = delivery()

    async def work(_):
        return answer

    source = DirectedSource(job)
    async with pool_on(source, Worker(work)):
        assert await source.verdict_of(job) == kept


@pytest.mark.parametrize(
    "payload", [b"", b"{", b'{"name": 5}', b"\xff", b"[" * 100_000, b'"\\ud800"']
)
async def test_a_payload_that_cannot_be_decoded_is_a_dead_letter(payload: bytes) -> None:
    job = delivery(payload=payload)
    ran = []

    async def work(execution):
        ran.append(execution)
        return Done()

    source = DirectedSource(job)
    async with pool_on(source, Worker(work)) as bench:
        verdict = await source.verdict_of(job)
        assert bench.count("worker_dead_letters_total", "work") == 1
    assert isinstance(verdict, DeadLetter)
    assert verdict.reason.startswith("invalid payload: ")
    assert not ran


class Fragile(msgspec.Struct):
    """A payload whose own check has a bug."""

    name: str

    def __post_init__(self) -> None:
        if self.name == "eve":
            raise UnspeakableError
        {}[self.name]


@pytest.mark.parametrize(("name", "told"), [("ada", "'ada'"), ("eve", "(cannot be shown)")])
async def test_a_payload_type_that_fails_in_any_way_is_a_dead_letter(name: str, told: str) -> None:
    async def work(execution):
        return Done()

    job = delivery(payload=msgspec.json.encode({"name": name}))
    source = DirectedSource(job)
    worker = Worker(work)
    worker.payload_type = Fragile
    async with pool_on(source, worker):
        verdict = await source.verdict_of(job)
    assert verdict == DeadLetter(f"invalid payload: {told}")


async def test_an_unknown_type_is_snoozed_until_its_patience_is_over() -> None:
    young = delivery("newer", age_seconds=1.0)
    nearly = delivery("newer", age_seconds=599.5)
    old = delivery("newer", age_seconds=600.0)

    async def work(_):
        return Done()

    source = DirectedSource(young, nearly, old)
    async with pool_on(source, Worker(work), unknown_type_patience_seconds=600.0) as bench:
        assert await source.verdict_of(young) == Snooze(after=30.0)
        assert await source.verdict_of(nearly) == Snooze(after=0.5)
        assert await source.verdict_of(old) == DeadLetter("unknown job type 'newer'")
        assert bench.count("worker_dead_letters_total", "unknown") == 1
        assert bench.count("worker_verdicts_total", "unknown", "snooze") == 2
