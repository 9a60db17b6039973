"""What happens to a test whose server is not installed."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def required() -> bool:
    """Return whether a missing server is a failure (REQUIRE_SERVICES=1, as in CI)."""
    return os.environ.get("REQUIRE_SERVICES") == "1"


def missing(what: str, how: str) -> NoReturn:
    """Skip the test, saying what to install; fail it when services are required."""
    _cannot_run(f"{what} is not installed: {how}")


def impossible(what: str, why: str) -> NoReturn:
    """Skip the test where the machine cannot have the fault; fail it as `missing` does."""
    _cannot_run(f"{what} is not possible here: {why}")


def _cannot_run(message: str) -> NoReturn:
    if required():
        pytest.fail(f"REQUIRE_SERVICES=1, but {message}", pytrace=False)
    pytest.skip(message)
