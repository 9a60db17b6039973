"""Random histories of a queue against the model, on every adapter."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec
import pytest
import uvloop
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from shared.jobs import Delivery, Job, Priority
from shared.queue.port import LaneLimits, Queue
from shared.renewal_thread import RenewalThread
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Settlement, Snooze
from tests.contracts.queue.harness import Harness, MemoryHarness, RedisHarness
from tests.contracts.queue.model import Model

T = TypeVar("T")
EXAMPLES = int(
    os.environ.get("QUEUE_MODEL_EXAMPLES") or (100 if os.environ.get("REQUIRE_SERVICES") else 30)
)
"""CI sees 100 histories, `make nightly` 2,000, a laptop some each time."""
SEED = int(os.environ.get("QUEUE_MODEL_SEED") or secrets.randbits(64))
"""Printed when a history fails; the same seed draws the same histories again."""
CAPS = {"one": 1, "two": 2}
"""How many jobs of a lane may run at once."""
LEASE_SECONDS = 3600.0
"""Leases and delays end when a history says so, and never by themselves."""
CONSUMERS = st.integers(0, 1)
PAUSABLE = st.sampled_from(["other", "other", "inbox", None])
VERDICTS = st.sampled_from(
    [Done(), Done(), Discard("d"), DeadLetter("x"), Retry("r", 3600.0), Snooze(3600.0), HandBack()]
)
JOBS = st.builds(
    Job,
    type=st.sampled_from(["job", "job", "other"]),
    payload=st.binary(max_size=8),
    priority=st.sampled_from(Priority),
    delay_seconds=st.sampled_from([0.0, 0.0, 3600.0]),
    dedup_key=st.sampled_from(["", "", "doc-1", "doc-2"]),
    lane=st.sampled_from(["", "", *CAPS]),
    replace=st.booleans(),
)


class QueueMachine(RuleBasedStateMachine):
    """Two consumers on one queue do anything in any order; a subclass says which adapter."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[str] = []
        self.loop = uvloop.new_event_loop()
        self.harness = self.new_harness()
        limits = {lane: LaneLimits(max_running=cap) for lane, cap in CAPS.items()}
        self.settings = replace(
            self.harness.settings, lease_seconds=LEASE_SECONDS, lane_limits=limits
        )
        self.model = Model(max_crashes=self.settings.max_crashes, caps=CAPS)
        self.queues = [self.run(self._new_consumer()) for _ in range(2)]
        self.deliveries: list[Delivery] = []
        self.published: list[Job] = []
        self.cancelled: dict[str, None] = {}  # in their order: sorted, keys made by time would vary
        self.admin = self.harness.admin()

    def new_harness(self) -> Harness:
        raise NotImplementedError

    async def _new_consumer(self) -> Queue:
        queue = await self.harness.consumer(settings=self.settings)
        await queue.exchange([], 0)  # tells its limits to those who publish
        return queue

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        asked = {name: value for name, value in work.cr_frame.f_locals.items() if name != "self"}
        self.commands.append(f"{work.__qualname__} {asked}")
        answer = self.loop.run_until_complete(work)
        self.commands[-1] += f" -> {answer}"
        return answer

    def teardown(self) -> None:
        """Say what was asked and answered, for a failure that does not come again."""
        if error := sys.exc_info()[1]:
            error.add_note("\n".join(self.commands))
        try:
            self.what_runs_in_a_lane_is_counted()
        finally:
            self.run(self.harness.close())
            self.loop.close()

    @initialize(jobs=st.lists(JOBS, min_size=4, max_size=8))
    def begin(self, jobs: list[Job]) -> None:
        self.publish(jobs)

    @rule(jobs=st.lists(JOBS, min_size=1, max_size=4))
    def publish(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._publish(replace(job, key=f"job-{len(self.published)}"))

    @precondition(lambda self: self._living())
    @rule(data=st.data())
    def publish_again(self, data: st.DataObject) -> None:
        self._publish(data.draw(st.sampled_from(self._living())))

    def _living(self) -> list[Job]:
        living = {each.job.key for each in self.model.at("ready", "delayed", "leased")}
        return [job for job in self.published if job.key in living]

    @precondition(lambda self: self.cancelled)
    @rule(job=JOBS, data=st.data())
    def publish_what_was_cancelled(self, job: Job, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(list(self.cancelled)))
        del self.cancelled[key]  # once more only when it is cancelled again: a key whose job is
        if key not in self.model.jobs:  # done is forgotten, and with it which tokens it had
            self._publish(replace(job, key=key))

    def _publish(self, job: Job) -> None:
        self.published.append(job)
        accepted = self.run(self.queues[0].publish([job])).accepted
        assert bool(accepted) is self.model.publish(job)

    @rule(text=st.text(max_size=4))
    def push(self, text: str) -> None:
        message = {"type": "inbox", "payload": text}
        self.run(self.harness.push(msgspec.json.encode(message)))
        self.model.inbox += 1

    @precondition(lambda self: any(self.model.claimable(0)))
    @rule(consumer=CONSUMERS, want=st.integers(1, 6))
    def claim(self, consumer: int, want: int) -> None:
        self._exchange(consumer, [], want)

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
        least, most = self.model.claimable(consumer)
        assert min(want, least) <= len(answer.deliveries) <= min(want, most)
        for delivery in answer.deliveries:
            known = self.model.claimed(consumer, delivery.job, delivery.token)
            assert delivery.job == replace(known.job, delay_seconds=0.0, replace=False)
            assert (delivery.attempt, delivery.crashes) == (known.attempt, known.crashes)
            self.deliveries.append(delivery)

    @precondition(lambda self: self.model.at("leased") and not self.model.twins_are_held())
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """Who holds some of the jobs dies; the leases of the others are renewed meanwhile."""
        held = [each.token for each in self.model.at("leased")]
        renewed = data.draw(st.lists(st.sampled_from(held), unique=True))
        gone = {each.token for each in self.deliveries}.difference(held)
        self.run(self.harness.age_leases(0.6 * LEASE_SECONDS))
        assert self._renew([*renewed, *gone]) == gone
        self.run(self.harness.age_leases(0.6 * LEASE_SECONDS))
        self.model.expire(renewed)
        self._exchange(0, [], 0)  # finds what has run out
        assert not self._renew(renewed), "their leases are whole again for the next crash"

    def _renew(self, tokens: Sequence[str]) -> Collection[str]:
        """Renew these leases, as the keeper's thread does now and then; return those lost."""
        keeper = self.queues[0].lease_keeper()
        assert isinstance(keeper, RenewalThread)
        lost = set(keeper._renew(tokens))
        self.commands.append(f"renew {tokens} -> {lost}")
        return lost

    @precondition(lambda self: self.model.at("delayed"))
    @rule()
    def time_passes(self) -> None:
        self.run(self.harness.ripen())
        self.model.ripen()
        self._exchange(1, [], 0)

    @rule(consumer=CONSUMERS)
    def restart(self, consumer: int) -> None:
        """A worker goes without a word; the new one knows nothing of what the old one held."""
        self.run(self.queues[consumer].close())
        self.queues[consumer] = self.run(self._new_consumer())
        self.model.suspect_of.pop(consumer, None)

    @precondition(lambda self: self.model.at("dead"))
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        keys = self._some(data, "dead")
        assert self.run(self.admin.replay(keys)) == len(keys)
        self.model.replay(keys)

    @precondition(lambda self: self.model.at("dead"))
    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        keys = self._some(data, "dead")
        assert self.run(self.admin.purge(keys)) == len(keys)
        self.model.purge(keys)

    @precondition(lambda self: self.model.at("ready", "delayed", "leased"))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        keys = self._some(data, "ready", "delayed", "leased")
        assert self.run(self.admin.cancel([*keys, "unknown"])) == len(keys)
        self.model.cancel(keys)
        self.cancelled |= dict.fromkeys(keys)

    def _some(self, data: st.DataObject, *places: str) -> list[str]:
        keys = [each.job.key for each in self.model.at(*places)]
        return data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=4, unique=True))

    @rule(job_type=PAUSABLE)
    def pause(self, job_type: str | None) -> None:
        self.run(self.admin.pause(job_type))
        self.model.pause(job_type, on=True)

    @precondition(lambda self: self.model.paused())
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        job_type = data.draw(st.sampled_from(self.model.paused()))
        self.run(self.admin.resume(job_type))
        self.model.pause(job_type, on=False)

    @invariant()
    def nothing_is_lost_and_nothing_appears(self) -> None:
        depth, model = self.run(self.admin.depth()), self.model
        assert depth.inbox <= model.inbox
        assert depth.inbox + depth.ready == model.inbox + len(model.at("ready"))
        found = (depth.delayed, depth.leased, depth.dead)
        assert found == tuple(len(model.at(place)) for place in ("delayed", "leased", "dead"))

    def what_runs_in_a_lane_is_counted(self) -> None:
        assert self.run(self.harness.running_in_lanes()) == self.model.running()

    @rule()
    def each_job_is_listed_where_it_is(self) -> None:
        self.what_runs_in_a_lane_is_counted()
        for state in ("ready", "delayed", "leased", "dead"):
            listed = {each.key: each for each in self.run(self.admin.jobs(state))}
            known = {each.job.key: each for each in self.model.at(state)}
            assert known.keys() <= listed.keys()
            unseen = listed.keys() - known.keys()
            assert len(unseen) <= (self.model.inbox if state == "ready" else 0)
            for key, each in known.items():
                counts = (listed[key].attempts + 1, listed[key].crashes)
                assert counts == (each.attempt, each.crashes)


@pytest.mark.timeout(max(600, 5 * EXAMPLES))
@pytest.mark.parametrize("server", ["memory", "valkey9", "redis7"])
def test_random_histories_agree_with_the_model(server: str, request: pytest.FixtureRequest) -> None:
    fixture = {"valkey9": "redis_url", "redis7": "redis7_url"}.get(server)
    url = request.getfixturevalue(fixture) if fixture else ""

    class Machine(QueueMachine):
        def new_harness(self) -> Harness:
            return RedisHarness(url) if url else MemoryHarness()

    print(f"to see the same histories: QUEUE_MODEL_SEED={SEED} QUEUE_MODEL_EXAMPLES={EXAMPLES}")
    run_state_machine_as_test(
        seed(SEED)(Machine),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            database=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
