"""Which dead letters a command is about: by key, by type, by time, or all."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from shared.queue.administration import DeadLetterRecord

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def moment(text: str) -> float:
    """Read a time: ISO 8601 (UTC where it names no zone), or 90s, 15m, 2h, 7d ago.

    Returns seconds since the epoch. Raises click.BadParameter.
    """
    if ago := _AGO.fullmatch(text):
        return time.time() - float(ago[1]) * _SECONDS[ago[2]]
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time: give 2026-01-31T12:00, or 90s, 15m, 2h, 7d for so long ago"
        ) from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


class Selection:
    """The dead letters that were asked for."""

    def __init__(
        self,
        keys: Sequence[str],
        job_type: str | None,
        since: float | None,
        until: float | None,
        *,
        everything: bool,
    ) -> None:
        """Raises click.UsageError unless exactly one way of choosing is used."""
        filtered = any(each is not None for each in (job_type, since, until))
        if sum((bool(keys), filtered, everything)) != 1:
            raise click.UsageError(
                "give KEYs, as `workers queue list` shows them, or --type/--since/--until, or --all"
            )
        self.keys = keys
        self._type = job_type
        self._since = since if since is not None else float("-inf")
        self._until = until if until is not None else float("inf")

    def covers(self, record: DeadLetterRecord) -> bool:
        """Whether the filters let this one through."""
        of_type = self._type is None or (record.job is not None and record.job.type == self._type)
        return of_type and self._since <= record.died_at < self._until
