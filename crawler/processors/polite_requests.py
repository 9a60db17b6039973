"""One grant, one request, one report."""

from __future__ import annotations

from crawler.fetcher.port import FetchAnswer, Fetcher, FetchRequest
from crawler.frontier.port import Frontier, HostReport, Target
from crawler.metrics import CrawlerMetrics
from crawler.processors.host_rest import rest_seconds
from shared.clock import Clock
from shared.errors import ConnectionLostError
from shared.observability.logs import get_logger
from shared.pool.processor import Execution

log = get_logger(__name__)


class PoliteRequests:
    """Sends a request only while its grant holds, and reports its end."""

    def __init__(
        self, frontier: Frontier, fetcher: Fetcher, metrics: CrawlerMetrics, clock: Clock
    ) -> None:
        self._frontier = frontier
        self._fetcher = fetcher
        self._metrics = metrics
        self._clock = clock

    async def send(self, execution: Execution[Target], request: FetchRequest) -> FetchAnswer | None:
        """Send a request and report it over at once; None when the grant was void."""
        answer = await self.ask(execution, request)
        if answer is not None:
            await self.over(execution, answer)
        return answer

    async def ask(self, execution: Execution[Target], request: FetchRequest) -> FetchAnswer | None:
        """Send a request; whoever calls this reports it over. None: the grant was void."""
        if self._clock.monotonic() >= execution.payload.use_by:
            self._metrics.grants_void.add()
            await self.unused(execution)
            return None
        answer = await self._fetcher.fetch(request)
        self._metrics.bytes.add(len(answer.body))
        self._metrics.fetch_seconds.observe(answer.elapsed_seconds)
        return answer

    async def over(self, execution: Execution[Target], answer: FetchAnswer) -> None:
        """Let the host be asked again, in time."""
        rest = rest_seconds(answer, execution.payload.failures, self._clock.wall())
        self._metrics.host_rest_seconds.add(rest)
        await self._report(execution, self._clock.monotonic() - answer.arrived_by, rest)

    async def unused(self, execution: Execution[Target]) -> None:
        """Let the host be asked by somebody else: nothing was sent."""
        await self._report(execution, -1.0, 0.0)

    async def _report(self, execution: Execution[Target], since: float, rest: float) -> None:
        report = HostReport(
            token=execution.delivery.token,
            host=execution.payload.host,
            since_start_seconds=since,
            block_seconds=rest,
        )
        try:
            await self._frontier.release([report])
        except ConnectionLostError as error:
            # The settlement frees the host too, later; the page need not be fetched again.
            log.warning("release_lost", error=str(error))
