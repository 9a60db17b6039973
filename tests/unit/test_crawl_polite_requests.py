"""One grant, one request, one report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from crawler.fetcher.port import FetchAnswer, FetchRequest
from crawler.frontier.port import HostReport, Target
from crawler.metrics import CrawlerMetrics
from crawler.processors.polite_requests import PoliteRequests
from shared.clock import FrozenClock
from shared.errors import ConnectionLostError
from shared.jobs import Delivery, Job
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution

REQUEST = FetchRequest(url="http://a.test/")


class Reports:
    """A frontier that takes reports, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.taken: list[HostReport] = []

    async def release(self, reports: Sequence[HostReport]) -> None:
        if self.away:
            raise ConnectionLostError("planted")
        self.taken += reports


class Answers:
    """A fetcher that takes two seconds, one of them before it sends."""

    def __init__(self, clock: FrozenClock, answer: dict[str, Any]) -> None:
        self.clock = clock
        self.answer = answer
        self.asked = 0

    async def fetch(self, request: FetchRequest) -> FetchAnswer:
        self.asked += 1
        self.clock.advance(1.0)
        arrived = self.clock.monotonic()
        self.clock.advance(1.0)
        return FetchAnswer(url=request.url, arrived_by=arrived, **self.answer)


def bench(*, away: bool = False, **answer: Any) -> tuple[PoliteRequests, Reports, Answers]:
    clock, frontier = FrozenClock(), Reports(away=away)
    fetcher = Answers(clock, {"status": 200} | answer)
    metrics = CrawlerMetrics(MetricsTable())
    told: Any = frontier
    return PoliteRequests(told, fetcher, metrics, clock), frontier, fetcher


def execution(use_by: float) -> Execution[Target]:
    target = Target(
        url_key="00" * 16, url="http://a.test/", host="a.test", origin="http://a.test",
        pack="p", epoch=1, use_by=use_by,
    )  # fmt: skip
    return Execution(target, Delivery(job=Job(type="fetch_page"), token="t"))


async def test_the_report_counts_from_the_start_of_the_request() -> None:
    requests, frontier, _ = bench()
    answer = await requests.send(execution(1_000.1), REQUEST)
    assert answer is not None
    (report,) = frontier.taken
    assert (report.token, report.host) == ("t", "a.test")
    assert (report.since_start_seconds, report.block_seconds) == (1.0, 0.0)


@pytest.mark.parametrize("use_by", [999.0, 1_000.0])
async def test_a_void_grant_sends_nothing(use_by: float) -> None:
    requests, frontier, fetcher = bench()
    assert await requests.send(execution(use_by), REQUEST) is None
    assert fetcher.asked == 0
    assert [report.since_start_seconds for report in frontier.taken] == [-1.0]


async def test_an_overloaded_host_is_reported() -> None:
    requests, frontier, _ = bench(status=429, headers={"retry-after": "100"})
    await requests.send(execution(2_000.0), REQUEST)
    assert 100.0 <= frontier.taken[0].block_seconds <= 110.0


async def test_an_answer_outlives_a_lost_report() -> None:
    requests, _, _ = bench(away=True)
    answer = await requests.send(execution(2_000.0), REQUEST)
    assert answer is not None
    assert answer.status == 200
