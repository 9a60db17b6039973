"""What the commands beside `run` do, apart from flags and printing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from crawler.bootstrap import opened
from crawler.frontier.port import Discovered, Frontier, FrontierStatus
from crawler.seeds import SeedRefusedError, Seeds, refuse_unkept
from crawler.settings import CrawlerSettings
from crawler.url.normalizer import InvalidUrlError, normalize
from shared.errors import ConfigError


class Refused(msgspec.Struct, frozen=True):
    """A URL that was not taken."""

    where: str
    """`argument 2`, `seeds.txt:7`."""
    url: str
    reason: str
    detail: str


class SeedReport(msgspec.Struct, frozen=True):
    """What became of seeds."""

    new: int
    known: int
    refused: Sequence[Refused] = ()


class RecrawlReport(msgspec.Struct, frozen=True):
    """How many pages were made due."""

    due: int
    unknown: int
    refused: Sequence[Refused] = ()


Named = tuple[str, str]
"""Where a URL came from, and the URL."""


def from_arguments(urls: Sequence[str]) -> list[Named]:
    """Name URLs by their place on the command line."""
    return [(f"argument {number}", url) for number, url in enumerate(urls, 1)]


def from_file(path: Path) -> list[Named]:
    """Read one URL a line; empty lines and those that begin with # are passed over.

    Raises ConfigError when the file cannot be read.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    numbered = ((f"{path}:{number}", line.strip()) for number, line in enumerate(lines, 1))
    return [(where, line) for where, line in numbered if line and not line.startswith("#")]


async def seed(
    settings: CrawlerSettings,
    pages: Sequence[Named],
    sitemaps: Sequence[Named],
    packs: Sequence[str],
) -> SeedReport:
    """Let the frontier know seeds. Those that are refused are reported, all others taken."""
    async with opened(settings) as parts:
        found, refused = _decide(parts.seeds, pages, sitemaps)
        for name in packs:
            if name not in parts.packs.by_name:
                known = ", ".join(sorted(parts.packs.by_name)) or "none"
                raise ConfigError(f"there is no domain pack {name!r}; there are: {known}")
            found += parts.seeds.of_pack(parts.packs.by_name[name])
        new = await parts.frontier.discover(found)
        unkept = await _unkept(parts.frontier, found) if new < len(found) else []
        already = len(found) - new - len(unkept)
        return SeedReport(new=new, known=already, refused=[*refused, *unkept])


async def _unkept(frontier: Frontier, found: Sequence[Discovered]) -> list[Refused]:
    refused = []
    for seed in found:
        try:
            await refuse_unkept(frontier, seed)
        except SeedRefusedError as error:
            refused.append(Refused(f"pack {seed.pack}", seed.url, error.reason, str(error)))
    return refused


def _decide(
    seeds: Seeds, pages: Sequence[Named], sitemaps: Sequence[Named]
) -> tuple[list[Discovered], list[Refused]]:
    found: list[Discovered] = []
    refused: list[Refused] = []
    for take, named in ((seeds.page, pages), (seeds.sitemap, sitemaps)):
        for where, url in named:
            try:
                found.append(take(url))
            except SeedRefusedError as error:
                refused.append(Refused(where, url, error.reason, str(error)))
    return found, refused


async def recrawl(settings: CrawlerSettings, urls: Sequence[Named] | None) -> RecrawlReport:
    """Make pages due now: those named, or (None) all that were ever visited."""
    async with opened(settings) as parts:
        if urls is None:
            return RecrawlReport(due=await parts.frontier.recrawl(None), unknown=0)
        keys, refused = [], []
        for where, url in urls:
            try:
                keys.append(normalize(url).key)
            except InvalidUrlError as error:
                refused.append(Refused(where, url, error.reason, str(error)))
        due = await parts.frontier.recrawl(keys)
        return RecrawlReport(due=due, unknown=len(set(keys)) - due, refused=refused)


async def status(settings: CrawlerSettings) -> FrontierStatus:
    """Return the frontier's counts."""
    async with opened(settings) as parts:
        return await parts.frontier.status()
