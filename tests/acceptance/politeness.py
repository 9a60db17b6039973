"""Reads request starts from a web server's access log and finds those that came too close."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True)
class LoggedRequest:
    """One line of the access log: `$msec $request_time $server_addr $status $request_uri`."""

    start: float
    host: str
    status: int
    uri: str


@dataclass(frozen=True)
class Breach:
    """Two request starts on one host that were closer than allowed."""

    gap_seconds: float
    first: LoggedRequest
    second: LoggedRequest


def read_access_log(path: Path) -> list[LoggedRequest]:
    """Parse the log; the start of a request is its end less the time it took."""
    requests = []
    for line in path.read_text().splitlines():
        end, took, host, status, uri = line.split(" ", 4)
        requests.append(LoggedRequest(float(end) - float(took), host, int(status), uri))
    return requests


def breaches(requests: list[LoggedRequest], least_gap_seconds: float) -> list[Breach]:
    """Return neighbours in time on one host whose starts are closer than `least_gap_seconds`."""
    by_host: dict[str, list[LoggedRequest]] = defaultdict(list)
    for request in requests:
        by_host[request.host].append(request)
    found = []
    for of_host in by_host.values():
        of_host.sort(key=lambda request: request.start)
        for first, second in pairwise(of_host):
            gap = second.start - first.start
            if gap < least_gap_seconds:
                found.append(Breach(gap, first, second))
    return found
