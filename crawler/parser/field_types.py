"""What is found on a page, turned into the type that a pack's field asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any

from crawler.parser.clean_text import clean, one_line

MAX_TEXT_CHARS = 100_000
MAX_KEYWORD_CHARS = 1_000
"""An index keeps keywords whole, and refuses documents with very long ones."""

_NUMBER = re.compile(r"[+-]?\d[\d  ',.]*(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[.,]\d{3})+")
_TRUE = frozenset({"true", "yes", "1", "on"})
_FALSE = frozenset({"false", "no", "0", "off"})


def convert(value: Any, kind: str) -> Any:
    """Return the value as `text`, `keyword`, `number`, `integer`, `boolean` or `date`.

    None when it cannot be read as one. Dates come out in ISO 8601.
    """
    return _CONVERTERS[kind](value)


def _text(value: Any) -> str | None:
    return one_line(clean(str(value)))[:MAX_TEXT_CHARS] or None


def _keyword(value: Any) -> str | None:
    return one_line(clean(str(value)))[:MAX_KEYWORD_CHARS] or None


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    else:
        found = _NUMBER.search(str(value)[:MAX_KEYWORD_CHARS])
        if found is None:
            return None
        try:
            number = float(_plain_number(found[0]))
        except ValueError:
            return None
    return number if isfinite(number) else None


def _plain_number(text: str) -> str:
    """Bring `1,234.50`, `1.234,50`, `1 234` and `3,5` to one form."""
    text = re.sub(r"[  ']", "", text).rstrip(".,")
    comma, dot = text.rfind(","), text.rfind(".")
    if comma >= 0 and dot >= 0:
        return text.replace(",", "") if dot > comma else text.replace(".", "").replace(",", ".")
    if text.count(",") + text.count(".") > 1 or (comma >= 0 and _GROUPED.fullmatch(text)):
        return text.replace(",", "").replace(".", "")
    return text.replace(",", ".")


def _integer(value: Any) -> int | None:
    number = _number(value)
    if number is None or number != int(number) or abs(number) > 2**53:
        return None
    return int(number)


def _boolean(value: Any) -> bool | None:
    word = str(value).strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _date(value: Any) -> str | None:
    text = one_line(str(value))[:MAX_KEYWORD_CHARS]
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
        except (ValueError, IndexError, OverflowError):
            continue
        return moment.isoformat() if "T" in text or ":" in text else moment.date().isoformat()
    return None


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "keyword": _keyword,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
}
