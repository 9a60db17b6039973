"""The statements of the queue, one a file."""

from __future__ import annotations

from pathlib import Path


def statement(name: str) -> str:
    """Return the text of `name`.sql."""
    return (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")
