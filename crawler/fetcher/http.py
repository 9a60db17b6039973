"""The fetcher over aiohttp."""

from __future__ import annotations

from crawler.fetcher.address_guard import AddressGuard
from crawler.fetcher.port import FetchAnswer, FetchRequest
from shared.clock import Clock, SystemClock


class AiohttpFetcher:
    """Implements crawler.fetcher.port.Fetcher. Made inside a running loop."""

    def __init__(
        self,
        guard: AddressGuard,
        user_agent: str,
        *,
        clock: Clock | None = None,
        min_bytes_per_second: int = 256,
        max_connections: int = 1000,
    ) -> None:
        """Make a fetcher that says it is `user_agent`, e.g. `worker-suite/0.1 (+https://...)`."""
        self._clock = clock or SystemClock()
        raise NotImplementedError

    async def fetch(self, request: FetchRequest) -> FetchAnswer:
        """Send one GET request and read its answer within the limits."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close idle connections."""
        raise NotImplementedError
