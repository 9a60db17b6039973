"""A pytest plugin: with REQUIRE_SERVICES=1 a test that was skipped, for any reason, has failed."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.services.missing import required


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where every service must be there."""
    report = yield
    if required() and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, but REQUIRE_SERVICES=1: {call.excinfo and call.excinfo.value}"
    return report
