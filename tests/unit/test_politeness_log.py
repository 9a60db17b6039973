"""The breach finder of the acceptance tests finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.politeness import breaches, read_access_log

LOG = """\
100.050 0.050 127.0.0.11 200 /a
100.200 0.105 127.0.0.11 200 /b
100.210 0.000 127.0.0.11 304 /c
100.001 0.000 127.0.0.12 200 /robots.txt
"""


def test_gap_is_between_request_starts_and_by_host(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(LOG)
    requests = read_access_log(log)
    # Starts on .11: 100.000, 100.095, 100.210; the request on .12 has no neighbour.
    close = breaches(requests, 0.0951)
    assert [(b.first.uri, b.second.uri) for b in close] == [("/a", "/b")]
    assert breaches(requests, 0.094) == []
    assert len(breaches(requests, 0.2)) == 2
