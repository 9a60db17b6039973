"""What a queue's streams, consumers and subjects are called."""

from __future__ import annotations

import re
from hashlib import blake2b

import msgspec

from shared.errors import ConfigError
from shared.jobs import Priority

_ALLOWED = re.compile(r"[^\s.*>$_][^\s.*>]*(\.[^\s.*>]+)*")
_LONGEST = 128
_PARTS = ("ready.*", "suspects", "delayed.*")
_UNSAFE = re.compile(r"[^A-Za-z0-9_:-]")

CONSUMERS = ("suspects", "high", "normal", "inbox", "low")
"""Durable consumers of a queue's stream; each reads one subject."""


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """Names of one queue; docs/brokers.md describes what lies under each."""

    inbox: str
    """Subject to which programs in any language publish: the queue's own name."""
    stream: str
    """Stream of everything that waits or runs."""
    dead_stream: str
    workers_stream: str
    prefix: str
    """Of every subject but the inbox."""

    @property
    def subjects(self) -> list[str]:
        """What the queue's stream holds."""
        return [self.inbox, *(f"{self.prefix}{part}" for part in _PARTS)]

    def ready(self, priority: Priority, *, suspect: bool = False) -> str:
        """Return the subject of jobs that may be claimed."""
        return f"{self.prefix}suspects" if suspect else f"{self.prefix}ready.{int(priority)}"

    def delayed(self, unique: str) -> str:
        """Return the subject of one job that waits for its time."""
        return f"{self.prefix}delayed.{unique}"

    def dead(self, key: str) -> str:
        """Return the subject of a job's dead letters: by it they are found."""
        return f"{self.prefix}dead.{fingerprint(key)}"

    def worker(self, kind: str, lease_ms: int, consumer: str) -> str:
        """Return the subject on which one worker says that it lives."""
        return f"{self.prefix}workers.{kind.encode().hex()}.{lease_ms}.{consumer}"

    def filter_of(self, consumer: str) -> str:
        """Return the subject that a durable consumer reads."""
        if consumer == "inbox":
            return self.inbox
        if consumer == "suspects":
            return self.ready(Priority.NORMAL, suspect=True)
        return self.ready(Priority[consumer.upper()])


def fingerprint(key: str) -> str:
    """Return a key as a token of a subject, whatever characters it has."""
    return blake2b(key.encode(), digest_size=16).hexdigest()


def names_of(queue: str) -> Names:
    """Derive the names of a queue. Raises ConfigError for a name that cannot be a subject."""
    if len(queue) > _LONGEST or not queue.isprintable() or not _ALLOWED.fullmatch(queue):
        raise ConfigError(
            f"queue name {queue!r} is not allowed on NATS: it is the subject that programs publish "
            f"to, so it has no spaces, '*' or '>', no empty part between dots, at most {_LONGEST} "
            "characters, and does not begin with '$' or '_'"
        )
    # Streams may not have dots in their names; '+' is in no escaped name, so none collide.
    escaped = _UNSAFE.sub(lambda found: "".join(f"={b:02X}" for b in found[0].encode()), queue)
    return Names(
        inbox=queue,
        stream=escaped,
        dead_stream=f"{escaped}+dead",
        workers_stream=f"{escaped}+workers",
        prefix=f"jobq.{escaped}.",
    )
