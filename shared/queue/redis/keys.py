"""Names of a queue's keys in Redis. All of them share a slot of a cluster."""

from __future__ import annotations

import re

import msgspec

from shared.errors import ConfigError

_TAGGED = re.compile(r"[^{}]*\{[^{}]+\}[^{}]*")


class QueueKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What lies under which name; docs/queue-protocol.md describes each."""

    inbox: str
    """List that programs in any language LPUSH to; the queue's own name."""
    intake: str
    """List of inbox messages that a wake-up has moved and no claim has read yet."""
    wake: str
    """List holding at most a few tokens: somebody may find work."""
    jobs: str
    """Hash: job key -> stored job."""
    leases: str
    """Sorted set: token -> end of the lease, milliseconds of the server's clock."""
    delayed: str
    """Sorted set: member -> when it becomes ready."""
    ready: tuple[str, str, str]
    """Lists of members, one a priority."""
    suspects: str
    """List of members whose lease expired twice."""
    dedup: str
    """Hash: deduplication key -> member that waits under it."""
    dead: str
    """Sorted set: job key -> when it died."""
    dead_records: str
    """Hash: job key -> its dead letter."""
    alive: str
    """Sorted set: consumer -> until when it counts as alive."""
    consumers: str
    """Hash: consumer -> worker kind and job types."""
    paused: str
    """Hash: paused job type (empty: the queue) -> `paused`, or `resumed` while some are parked."""
    serial: str
    """Counter in the keys of inbox messages."""
    prefix: str

    def answer(self, consumer: str) -> str:
        """Return the hash that keeps the last answer to a consumer."""
        return f"{self.prefix}answer:{consumer}"

    @property
    def schedules(self) -> tuple[str, str]:
        """Hashes: schedule -> what was announced, and schedule -> due time of its last firing."""
        return f"{self.prefix}schedules", f"{self.prefix}schedules:fired"

    def lane(self, name: str) -> str:
        """Return the list of members that are ready in a lane."""
        return f"{self.prefix}lane:{name}"

    def result(self, key: str) -> str:
        """Return the hash that keeps the outcome of a job."""
        return f"{self.prefix}result:{key}"

    def concluded(self, key: str) -> str:
        """Return the stream that gets an entry when the outcome of a job is final."""
        return f"{self.prefix}concluded:{key}"


def keys_of(name: str) -> QueueKeys:
    """Derive the keys of a queue.

    A name with a hash tag (`shop{7}`) keeps it; any other is its own tag. Raises ConfigError for
    a name that is empty or has other braces.
    """
    if not name or (re.search(r"[{}]", name) and not _TAGGED.fullmatch(name)):
        raise ConfigError(
            f"queue name {name!r} is not allowed: it must not be empty, and braces may only "
            "be one hash tag, as in shop{7}"
        )
    prefix = f"{name}:" if "{" in name else f"{{{name}}}:"
    return QueueKeys(
        inbox=name,
        prefix=prefix,
        ready=(f"{prefix}ready:0", f"{prefix}ready:1", f"{prefix}ready:2"),
        **{part: f"{prefix}{part.replace('_', ':')}" for part in _PLAIN},
    )


_PLAIN = (
    "intake", "wake", "jobs", "leases", "delayed", "suspects", "dedup",
    "dead", "dead_records", "alive", "consumers", "paused", "serial",
)  # fmt: skip
