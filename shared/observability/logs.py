"""Structured logs: one event a line on stderr, JSON for machines, coloured text on a terminal.

structlog, which writes for people, is imported with their first record and not for machines: it
would be a tenth of a worker's start. A record below the level costs one comparison.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

Format = Literal["auto", "json", "console"]
Render = Callable[[dict[str, Any]], str]
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Settings:
    """What `configure` said last; one for the process, as stderr is."""

    level = LEVELS["info"]
    console = False
    stream: TextIO | None = None
    bound: dict[str, str] = {}  # noqa: RUF012 - replaced as a whole, never changed
    render: Render | None = None


class EventLogger:
    """Writes events: a name for machines, in snake case, and fields."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **fields: Any) -> None:
        """What happens all the time."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What a person who watches wants to see."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """A failure that is handled."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """A failure that stops something."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if LEVELS[level] >= _Settings.level:
            _emit(level, event, {"logger": self._name, **fields})


def configure(
    level: str,
    format: Format = "auto",  # noqa: A002 - as the setting LOG_FORMAT
    *,
    stream: TextIO | None = None,
    **bound: str,
) -> None:
    """Set level and format for the process; `bound` fields are on every record.

    Records of libraries that log through the standard module take the same way, but their `info`
    is what happens all the time (Elasticsearch's client: every request), so it needs `debug`.
    """
    _Settings.level = LEVELS[level]
    _Settings.stream = stream or sys.stderr
    _Settings.console = format == "console" or (format == "auto" and _Settings.stream.isatty())
    _Settings.bound = bound
    _Settings.render = None
    root = logging.getLogger()
    root.handlers[:] = [_LibraryRecords()]
    root.setLevel(LEVELS["info"] if level == "debug" else max(LEVELS["warning"], _Settings.level))


def get_logger(name: str) -> EventLogger:
    """Return the logger of a module."""
    return EventLogger(name)


def debug_enabled() -> bool:
    """Tell whether debug records are written; hot paths ask once."""
    return _Settings.level <= LEVELS["debug"]


class _LibraryRecords(logging.Handler):
    """Hands records of the standard logging module to the same sink."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        fields = {"message": record.getMessage(), "exc_info": record.exc_info}
        logger = EventLogger(record.name)
        logger._write(level if level in LEVELS else "error", "library_message", fields)


def prepare() -> None:
    """Import now what the first record would, such as before a fork."""
    _renderer()


def _renderer() -> Render:
    if _Settings.render is None:
        _Settings.render = _for_people() if _Settings.console else _for_machines
    return _Settings.render


def _emit(level: str, event: str, fields: dict[str, Any]) -> None:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    record = {"event": event, "level": level, "timestamp": now, **_Settings.bound, **fields}
    if error := _error_of(record.pop("exc_info", None)):
        record["exception"] = "".join(traceback.format_exception(error)).rstrip("\n")
    # Control characters are shown as escapes: text from the web must not drive a terminal.
    line = _renderer()({key: _harmless(value) for key, value in record.items()})
    # Work goes on when nobody can be told about it: stderr may be a pipe whose reader has gone.
    with contextlib.suppress(OSError):
        print(f"{line}\n", end="", file=_Settings.stream or sys.stderr, flush=True)


def _error_of(exc_info: Any) -> BaseException | None:
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    return error if isinstance(error, BaseException) else None


def _for_machines(record: dict[str, Any]) -> str:
    return msgspec.json.encode(record, order="deterministic").decode()


def _for_people() -> Render:
    # structlog loads rich where it finds it, which costs twice as much as all the rest, for
    # tracebacks in colour that we do not print. A None in sys.modules makes that import fail.
    hidden = sys.modules.setdefault("rich", None) is None  # type: ignore[arg-type]
    try:
        from structlog.dev import ConsoleRenderer, plain_traceback
    finally:
        if hidden:
            del sys.modules["rich"]
    render = ConsoleRenderer(exception_formatter=plain_traceback)
    return lambda record: render(None, record["level"], record)


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value if isinstance(value, int | float | None) else _harmless(repr(value))
    text = value.encode("utf-8", "backslashreplace").decode()
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
