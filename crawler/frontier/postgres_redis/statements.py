"""The frontier's SQL, one statement a file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """Return the text of sql/NAME.sql."""
    directory = files("crawler.frontier.postgres_redis") / "sql"
    return (directory / f"{name}.sql").read_text("utf-8")
