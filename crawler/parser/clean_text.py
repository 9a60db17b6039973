"""The one gate through which all text from pages passes before it is kept."""

from __future__ import annotations

import re
from typing import Any

_POISON = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""NUL (Postgres refuses it), control characters (terminals obey them), lone surrogates (not
UTF-8), non-characters."""


def clean(value: Any) -> Any:
    """Return a value of strings, lists and dicts with every poisonous character left out."""
    if isinstance(value, str):
        return _POISON.sub("", value)
    if isinstance(value, dict):
        return {clean(key): clean(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [clean(inner) for inner in value]
    return value


def one_line(text: str) -> str:
    """Collapse all white space to single spaces."""
    return " ".join(text.split())
