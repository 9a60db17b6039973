"""Phrases taken from pages by a seeded choice, and where a search finds their page."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.doc_site import paragraphs


@dataclass(frozen=True)
class Phrase:
    """A few words in a row, and the page they were taken from."""

    text: str
    url: str


def choose(pages: Mapping[str, Path], count: int, seed: int) -> list[Phrase]:
    """Choose `count` phrases of 6 to 8 words, each from a page of its own."""
    draw = random.Random(seed)
    chosen: list[Phrase] = []
    for url in draw.sample(sorted(pages), len(pages)):
        long_enough = [p.split() for p in paragraphs(pages[url]) if len(p.split()) >= 8]
        if long_enough:
            words = draw.choice(long_enough)
            length = draw.randint(6, 8)
            start = draw.randint(0, len(words) - length)
            chosen.append(Phrase(" ".join(words[start : start + length]), url))
        if len(chosen) == count:
            break
    return chosen


def ranks(
    phrases: Sequence[Phrase], search: Callable[[str], Sequence[str]]
) -> list[tuple[Phrase, int | None]]:
    """Return for each phrase the rank (from 1) of its page among the URLs found, or None."""
    found = []
    for phrase in phrases:
        urls = list(search(phrase.text))
        found.append((phrase, urls.index(phrase.url) + 1 if phrase.url in urls else None))
    return found
