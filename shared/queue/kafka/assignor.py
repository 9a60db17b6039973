"""Who gets which partitions: one number at a time, the same number of every topic together.

So every member has its share of new jobs, of retries and of the inbox; and what a member had it
keeps when another comes or goes, as far as the shares allow, with the jobs that run there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

_VERSION = 0
_numbers = msgspec.json.Decoder(list[int])


class NumberAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # the library has no types
    """One member's side of the assignment; an object each, since it remembers what it had."""

    name = "partition-numbers"

    def __init__(self) -> None:
        self._had: set[int] = set()

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Share out all partitions; called in the member that leads the group."""
        topics = sorted({topic for each in members.values() for topic in each.subscription})
        partitions = {topic: cluster.partitions_for_topic(topic) or set() for topic in topics}
        count = max((max(each) + 1 for each in partitions.values() if each), default=0)
        shares = share(count, {name: _previous(each) for name, each in members.items()})
        return {
            member: ConsumerProtocolMemberAssignment(
                _VERSION,
                [(topic, sorted(partitions[topic] & numbers)) for topic in topics],
                b"",
            )
            for member, numbers in shares.items()
        }

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Tell the leader what this member had."""
        had = msgspec.json.encode(sorted(self._had))
        return ConsumerProtocolMemberMetadata(_VERSION, list(topics), had)

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Remember what this member has."""
        self._had = {each.partition for each in assignment.partitions()}


def share(count: int, previous: Mapping[str, set[int]]) -> dict[str, set[int]]:
    """Share the numbers below `count` evenly among members; each keeps what it can."""
    members = sorted(previous, key=lambda member: (-len(previous[member]), member))
    least, extra = divmod(count, len(members))
    quotas = {member: least + (at < extra) for at, member in enumerate(members)}
    free = set(range(count))
    shares: dict[str, set[int]] = {}
    for member in members:
        shares[member] = set(sorted(previous[member] & free)[: quotas[member]])
        free -= shares[member]
    for member in members:
        while len(shares[member]) < quotas[member]:
            number = min(free)
            free.remove(number)
            shares[member].add(number)
    return shares


def _previous(metadata: ConsumerProtocolMemberMetadata) -> set[int]:
    try:
        return set(_numbers.decode(metadata.user_data or b"[]"))
    except msgspec.MsgspecError:
        return set()
