"""Commits as the member that took the partitions over, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition, errors
from aiokafka.structs import OffsetAndMetadata

Membership = tuple[int, str]
"""A generation of the group, and the member's name in it."""

_REFUSED = (
    errors.UnknownMemberIdError,
    errors.IllegalGenerationError,
    errors.RebalanceInProgressError,
)
_PAUSE_SECONDS = 0.1


def membership_of(consumer: Any) -> Membership:
    """Return what a consumer's requests would name now: outside of the group, generation -1."""
    coordinator = consumer._coordinator
    return coordinator.generation, coordinator.member_id


async def commit_as(
    consumer: Any, membership: Membership, progress: Mapping[TopicPartition, tuple[int, str]]
) -> None:
    """Commit, and repeat it while the coordinator is away.

    Raises CommitFailedError when the group refuses, or the consumer's membership is another by
    now. The library's own commit would then go out under the new generation, or under none, which
    an empty group takes from anybody: either way over the progress of whoever came between.
    """
    coordinator = consumer._coordinator
    offsets = {tp: OffsetAndMetadata(*each) for tp, each in progress.items()}

    async def send() -> None:
        if membership_of(consumer) != membership:
            raise errors.IllegalGenerationError
        await coordinator._do_commit_offsets(None, offsets)

    while True:
        await coordinator.ensure_coordinator_known()
        try:
            async with coordinator._commit_lock:
                return await asyncio.shield(send())
        except _REFUSED as error:
            raise errors.CommitFailedError(str(error)) from error
        except errors.KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
