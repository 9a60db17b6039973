"""A commit goes out under the membership that it was made for, or not at all."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition, errors

from shared.queue.kafka import membership
from shared.queue.kafka.membership import commit_as, membership_of

HERE = TopicPartition("jobs", 0)
PROGRESS = {HERE: (7, "done")}


class Coordinator:
    """The part of the library's coordinator that commits; `turns` are what its attempts end in."""

    def __init__(self, *turns: Exception | None) -> None:
        self.generation, self.member_id = 3, "me"
        self._commit_lock = asyncio.Lock()
        self._turns = list(turns)
        self.sent: list[tuple[int, str]] = []

    async def ensure_coordinator_known(self) -> None:
        await asyncio.sleep(0)

    async def _do_commit_offsets(self, _: object, offsets: dict[TopicPartition, Any]) -> None:
        assert (offsets[HERE].offset, offsets[HERE].metadata) == (7, "done")
        self.sent.append((self.generation, self.member_id))
        turn = self._turns.pop(0)
        if turn is not None:
            self.generation, self.member_id = -1, ""  # a heartbeat that was refused meanwhile
            raise turn


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "_PAUSE_SECONDS", 0.0)


async def test_a_commit_is_sent_as_the_member_it_was_made_for() -> None:
    coordinator = Coordinator(None)
    consumer = SimpleNamespace(_coordinator=coordinator)
    await commit_as(consumer, membership_of(consumer), PROGRESS)
    assert coordinator.sent == [(3, "me")]


async def test_a_commit_is_not_repeated_as_another_member_nor_as_none() -> None:
    coordinator = Coordinator(errors.NotCoordinatorForGroupError(), None)
    consumer = SimpleNamespace(_coordinator=coordinator)
    with pytest.raises(errors.CommitFailedError):
        await commit_as(consumer, membership_of(consumer), PROGRESS)
    assert coordinator.sent == [(3, "me")]


@pytest.mark.parametrize("refusal", [errors.UnknownMemberIdError, errors.IllegalGenerationError])
async def test_a_refused_commit_fails(refusal: type[errors.KafkaError]) -> None:
    consumer = SimpleNamespace(_coordinator=Coordinator(refusal()))
    with pytest.raises(errors.CommitFailedError):
        await commit_as(consumer, membership_of(consumer), PROGRESS)
