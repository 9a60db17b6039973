"""What a person types into the search box, taken apart; the same for every adapter."""

from __future__ import annotations

import re

import msgspec

FIELD_BOOSTS = {"title": 3.0, "description": 1.5, "text": 1.0}
"""What a match counts in the fields that documents usually have."""
OTHER_BOOST = 0.7
"""What it counts in all other fields that hold text."""
PHRASE_BOOST = 4.0
"""What it adds that all words stand side by side in one field, in their order."""
LEAST_PERCENT = 70
"""How many of three or more free words must stand in one field, rounded down."""

_QUOTED = re.compile(r'"([^"]*)"')


class QueryText(msgspec.Struct, frozen=True):
    """Free words, most of which must match, and quoted phrases, all of which must."""

    words: str
    phrases: tuple[str, ...]


def parse_query(text: str) -> QueryText:
    """Take a query apart. A quotation mark without a partner counts as a space."""
    phrases = tuple(phrase for found in _QUOTED.findall(text) if (phrase := found.strip()))
    words = _QUOTED.sub(" ", text).replace('"', " ")
    return QueryText(words=" ".join(words.split()), phrases=phrases)


def least_matching(words: int) -> int:
    """Return how many of so many free words must stand in one field: all of up to two."""
    return words if words <= 2 else words * LEAST_PERCENT // 100
