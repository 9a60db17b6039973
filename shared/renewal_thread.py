"""The lease keeper of every adapter that can renew: a daemon thread beside the event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from shared.clock import Clock, SystemClock
from shared.observability.logs import get_logger

_log = get_logger(__name__)

Renew = Callable[[Sequence[str]], Collection[str]]
"""Renews the leases of these tokens; returns those that are lost."""


class RenewalThread:
    """Calls `renew` every third of a lease, ten times as often while that fails."""

    def __init__(self, renew: Renew, lease_seconds: float, *, clock: Clock | None = None) -> None:
        self._renew = renew
        self._pause = lease_seconds / 3
        self._clock = clock or SystemClock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, held: Mapping[str, float], on_lost: Callable[[Collection[str]], None]) -> None:
        """See LeaseKeeper.start."""
        self._stopped.clear()
        self._thread = threading.Thread(
            target=self._run, args=(held, on_lost), name="lease-keeper", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """See LeaseKeeper.stop."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, held: Mapping[str, float], on_lost: Callable[[Collection[str]], None]) -> None:
        pause = self._pause
        while not self._stopped.wait(pause):
            now = self._clock.monotonic()
            tokens = [token for token, until in dict(held).items() if until > now]
            try:
                lost = self._renew(tokens)
            except Exception as error:  # noqa: BLE001 - without this thread all leases end
                _log.warning("leases_not_renewed", leases=len(tokens), error=repr(error))
                pause = self._pause / 10
                continue
            pause = self._pause
            if lost:
                on_lost(lost)
