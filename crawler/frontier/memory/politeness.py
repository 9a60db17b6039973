"""Who may be asked now: hosts, grants and leases, in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from threading import Event, Thread

import msgspec

from crawler.frontier.port import HostReport
from shared.clock import Clock


class HostState(msgspec.Struct):
    """One host. Kept for good: an idle host keeps its delay."""

    delay: float = 0.0
    next_allowed: float = float("-inf")
    blocked_until: float = float("-inf")
    held_by: str = ""

    def wait_from(self, start: float) -> None:
        """Ask again a delay after this start of a request."""
        self.next_allowed = start + self.delay

    @property
    def ready_at(self) -> float:
        """When it may be asked next, if nobody asks it now."""
        return max(self.next_allowed, self.blocked_until)


class MemoryPoliteness:
    """One grant at a time for each host, none before its time. Times are monotonic readings."""

    def __init__(self, clock: Clock, lease_seconds: float) -> None:
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._hosts: dict[str, HostState] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._serial = 0

    def state(self, host: str) -> HostState:
        """Return a host's state."""
        return self._hosts.setdefault(host, HostState())

    def grant(self, host: str) -> str:
        """Hold a host that is ready; return the token of the grant."""
        self._serial += 1
        token = f"{self._serial}:{host}"
        self.state(host).held_by = token
        self._leases[token] = (host, self._clock.monotonic() + self._lease_seconds)
        return token

    def is_leased(self, token: str) -> bool:
        """Whether the lease has not been settled nor reaped."""
        return token in self._leases

    def settle(self, token: str) -> None:
        """End a lease; a request that nobody reported counts as started now."""
        host, _ = self._leases.pop(token)
        self._let_go(host, token, self._clock.monotonic())

    def release(self, report: HostReport) -> None:
        """End a request; its host may be asked a delay after the request's start."""
        now, state = self._clock.monotonic(), self.state(report.host)
        state.blocked_until = max(state.blocked_until, now + report.block_seconds)
        if report.since_start_seconds >= 0:
            self._let_go(report.host, report.token, now - report.since_start_seconds)
        elif state.held_by == report.token:
            state.held_by = ""

    def reap(self) -> list[str]:
        """End expired leases; return their tokens."""
        now = self._clock.monotonic()
        expired = [token for token, (_, until) in self._leases.items() if until <= now]
        for token in expired:
            self.settle(token)
        return expired

    def renew(self, token: str) -> bool:
        """Renew a lease; False when it is lost."""
        if token not in self._leases:
            return False
        host, _ = self._leases[token]
        self._leases[token] = (host, self._clock.monotonic() + self._lease_seconds)
        return True

    @property
    def in_flight(self) -> int:
        """How many leases are out."""
        return len(self._leases)

    def _let_go(self, host: str, token: str, start: float) -> None:
        state = self.state(host)
        if state.held_by == token:
            state.held_by = ""
            state.wait_from(start)


class MemoryLeaseKeeper:
    """Implements shared.work_source.LeaseKeeper."""

    def __init__(self, politeness: MemoryPoliteness, clock: Clock, lease_seconds: float) -> None:
        self._politeness, self._clock = politeness, clock
        self._interval = lease_seconds / 3
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self, held: Mapping[str, float], on_lost: Callable[[Collection[str]], None]) -> None:
        """Begin to renew, three times a lease."""
        self._thread = Thread(target=self._run, args=(held, on_lost), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing and join the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, held: Mapping[str, float], on_lost: Callable[[Collection[str]], None]) -> None:
        while not self._stop.wait(self._interval):
            now = self._clock.monotonic()
            wanted = [token for token, until in dict(held).items() if until > now]
            lost = [token for token in wanted if not self._politeness.renew(token)]
            if lost:
                on_lost(lost)
