"""Tells a pool which jobs went to other workers, beside the event loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from shared.renewal_thread import RenewalThread

LOOK_SECONDS = 1.0


def kafka_lease_keeper(
    lost_among: Callable[[Sequence[str]], Collection[str]],
) -> RenewalThread:
    """Return a keeper that renews nothing: the group's heartbeat on the loop does that for all."""
    return RenewalThread(lost_among, 3 * LOOK_SECONDS)
