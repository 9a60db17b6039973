"""Phrases taken from pages by a seeded choice, and where a search finds their page."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.bootstrap import opened_index
from indexer.search.port import SearchQuery
from indexer.settings import IndexerSettings
from shared.config import load
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


async def ranks(
    phrases: Sequence[Phrase], environment: Mapping[str, str]
) -> list[tuple[Phrase, int | None]]:
    """Search for each phrase; return the rank (from 1) of its page in the first ten, or None."""
    settings = load(IndexerSettings, flags={}, environ=environment).settings
    found = []
    async with opened_index(settings) as index:
        for phrase in phrases:
            result = await index.search(SearchQuery(text=phrase.text, limit=10))
            urls = [hit.body["url"] for hit in result.hits]
            found.append((phrase, urls.index(phrase.url) + 1 if phrase.url in urls else None))
    return found
