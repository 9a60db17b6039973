"""Where a worker pool gets its work: job queues, and the crawler's frontier."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from shared.jobs import Delivery
from shared.verdicts import Settlement


class Exchange(msgspec.Struct, frozen=True):
    """The answer of a work source to settlements and a wish for work."""

    deliveries: Sequence[Delivery] = ()
    refused: Sequence[str] = ()
    """Tokens of settlements that came too late: their lease was lost and the fence had risen."""
    next_due_seconds: float | None = None
    """Seconds until work is known to become ready; None when nothing is known to be coming."""


class LeaseKeeper(Protocol):
    """Renews leases from its own thread and its own connection, so a blocked loop loses none.

    Made before, started after a fork.
    """

    def start(self, held: Mapping[str, float], on_lost: Callable[[Collection[str]], None]) -> None:
        """Begin to renew.

        `held` maps tokens to the monotonic reading until which they are to be renewed; its owner
        changes it while the keeper runs, and the keeper only ever copies it. `on_lost` is called
        from the keeper's thread with tokens whose lease another worker may now have; a token that
        was settled in the meantime may be among them and is to be ignored.
        """
        ...

    def stop(self) -> None:
        """Stop renewing and join the thread. Leases still held run out by themselves."""
        ...


class WorkSource(Protocol):
    """A batched, leased supply of work."""

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """Settle deliveries and claim up to `want` new ones, in one call; never blocks.

        Safe to repeat with the same arguments after ConnectionLostError: the source remembers
        its last answer to this consumer, so a repeated call claims nothing twice and refuses
        nothing that it had accepted.

        Raises ConnectionLostError when the source cannot be reached.
        """
        ...

    async def wait(self, timeout: float) -> None:
        """Return when work may be there, or after `timeout` seconds.

        A source may claim ahead what the last exchange wished for in vain: the next exchange
        returns it, and what nobody asks for goes back by itself, with no attempt spent.

        May be cancelled at any point without harm. Spurious wake-ups are allowed, missed ones
        are not.
        """
        ...

    def lease_keeper(self) -> LeaseKeeper:
        """Return a keeper for the leases of this consumer."""
        ...

    async def close(self) -> None:
        """Let go of connections. Leases still held run out by themselves."""
        ...
