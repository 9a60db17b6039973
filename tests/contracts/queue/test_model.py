"""Random histories of a queue against the model, on every adapter."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from shared.jobs import Delivery, Job, Priority
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Settlement, Snooze
from tests.contracts.queue.harness import Harness, MemoryHarness, RedisHarness
from tests.contracts.queue.model import Model

T = TypeVar("T")
EXAMPLES = 100 if os.environ.get("REQUIRE_SERVICES") else 30
"""All of them in CI; a laptop sees a part each time."""
CONSUMERS = st.integers(0, 1)
VERDICTS = st.sampled_from(
    [Done(), Done(), Discard("d"), DeadLetter("x"), Retry("r", 3600.0), Snooze(3600.0), HandBack()]
)
JOBS = st.builds(
    Job,
    type=st.just("job"),
    payload=st.binary(max_size=8),
    priority=st.sampled_from(Priority),
    delay_seconds=st.sampled_from([0.0, 0.0, 3600.0]),
    dedup_key=st.sampled_from(["", "", "doc-1", "doc-2"]),
    replace=st.booleans(),
)


class QueueMachine(RuleBasedStateMachine):
    """Two consumers on one queue do anything in any order; a subclass says which adapter."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.harness = self.new_harness()
        self.model = Model(max_crashes=self.harness.settings.max_crashes)
        self.queues = [self.run(self.harness.consumer()) for _ in range(2)]
        self.deliveries: list[Delivery] = []
        self.published: list[Job] = []

    def new_harness(self) -> Harness:
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.harness.close())
        self.loop.close()

    @rule(job=JOBS, count=st.integers(1, 3))
    def publish(self, job: Job, count: int) -> None:
        for _ in range(count):
            self._publish(replace(job, key=f"job-{len(self.published)}"))

    @precondition(lambda self: self._living())
    @rule(data=st.data())
    def publish_again(self, data: st.DataObject) -> None:
        self._publish(data.draw(st.sampled_from(self._living())))

    def _living(self) -> list[Job]:
        living = {each.job.key for each in self.model.at("ready", "delayed", "leased")}
        return [job for job in self.published if job.key in living]

    def _publish(self, job: Job) -> None:
        self.published.append(job)
        accepted = self.run(self.queues[0].publish([job])).accepted
        assert bool(accepted) is self.model.publish(job)

    @rule(text=st.text(max_size=4))
    def push(self, text: str) -> None:
        message = {"type": "inbox", "payload": text}
        self.run(self.harness.push(msgspec.json.encode(message)))
        self.model.inbox += 1

    @rule(consumer=CONSUMERS, want=st.integers(0, 4), data=st.data())
    def exchange(self, consumer: int, want: int, data: st.DataObject) -> None:
        last = len(self.deliveries) - 1
        chosen = data.draw(st.sets(st.integers(0, last), max_size=4)) if self.deliveries else ()
        some = [self.deliveries[at] for at in chosen]
        self._exchange(consumer, [Settlement(d, data.draw(VERDICTS)) for d in some], want)

    @precondition(lambda self: self.deliveries)
    @rule(consumer=CONSUMERS, want=st.integers(0, 4), data=st.data())
    def settle_the_latest(self, consumer: int, want: int, data: st.DataObject) -> None:
        latest = [Settlement(each, data.draw(VERDICTS)) for each in self.deliveries[-3:]]
        self._exchange(consumer, latest, want)

    def _exchange(self, consumer: int, settled: list[Settlement], want: int) -> None:
        answer = self.run(self.queues[consumer].exchange(settled, want))
        late = {
            each.delivery.token
            for each in reversed(settled)
            if not self.model.settle(each.delivery.token, each.verdict)
        }
        assert set(answer.refused) == late
        assert len(answer.deliveries) == min(want, self.model.claimable(consumer))
        for delivery in answer.deliveries:
            known = self.model.claimed(consumer, delivery.job, delivery.token)
            assert delivery.job == replace(known.job, delay_seconds=0.0, replace=False)
            assert (delivery.attempt, delivery.crashes) == (known.attempt, known.crashes)
            self.deliveries.append(delivery)

    @precondition(lambda self: not self.model.twins_are_held())
    @rule()
    def crash(self) -> None:
        """Whoever holds anything dies; the leases run out and the next exchange finds that."""
        self.run(self.harness.expire_leases())
        self.model.expire()
        self._exchange(0, [], 0)

    @rule()
    def time_passes(self) -> None:
        self.run(self.harness.ripen())
        self.model.ripen()
        self._exchange(1, [], 0)

    @rule()
    def replay(self) -> None:
        dead = [each.job.key for each in self.model.at("dead")]
        assert self.run(self.harness.admin().replay(dead)) == len(dead)
        self.model.replay()

    @invariant()
    def nothing_is_lost_and_nothing_appears(self) -> None:
        depth = self.run(self.queues[0].depth())
        found = (depth.inbox, depth.ready, depth.delayed, depth.leased, depth.dead)
        places = ("ready", "delayed", "leased", "dead")
        assert found == (self.model.inbox, *(len(self.model.at(place)) for place in places))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("server", ["memory", "valkey9", "redis7"])
def test_random_histories_agree_with_the_model(server: str, request: pytest.FixtureRequest) -> None:
    fixture = {"valkey9": "redis_url", "redis7": "redis7_url"}.get(server)
    url = request.getfixturevalue(fixture) if fixture else ""

    class Machine(QueueMachine):
        def new_harness(self) -> Harness:
            return RedisHarness(url) if url else MemoryHarness()

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
