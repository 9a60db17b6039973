"""What a page says about itself in its head: title, language, canonical, robots."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from selectolax.lexbor import LexborHTMLParser

from crawler.parser.clean_text import one_line
from crawler.url.normalizer import absolute

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*")
_WITH_VALUE = frozenset(
    {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
)


class Metas:
    """The page's <meta> elements, by name and by property, first come first."""

    def __init__(self, tree: LexborHTMLParser) -> None:
        self.names: dict[str, list[str]] = {}
        self.properties: dict[str, list[str]] = {}
        for node in tree.css("meta[content]"):
            attributes = node.attributes
            content = (attributes.get("content") or "").strip()
            for index, key in ((self.names, "name"), (self.properties, "property")):
                name = (attributes.get(key) or "").strip().lower()
                if name and content:
                    index.setdefault(name, []).append(content)

    def first(self, *names: str) -> str:
        """Return the content of the first of these names or properties that is there."""
        for name in names:
            found = self.names.get(name) or self.properties.get(name)
            if found:
                return one_line(found[0])
        return ""


class Canonical(msgspec.Struct, frozen=True):
    """The page's rel=canonical: usable, or ignored and kept to explain."""

    url: str = ""
    ignored: str = ""


def title_of(tree: LexborHTMLParser, metas: Metas) -> str:
    """Return <title>, else og:title, else the first <h1>."""
    title = tree.css_first("head > title")
    text = one_line(title.text()) if title else ""
    if text:
        return text
    heading = tree.css_first("h1")
    return metas.first("og:title") or (one_line(heading.text()) if heading else "")


def language_of(tree: LexborHTMLParser) -> str:
    """Return the language tag of <html>, in lower case; empty when it is no language tag."""
    root = tree.css_first("html")
    attributes = root.attributes if root else {}
    tag = (attributes.get("lang") or attributes.get("xml:lang") or "").strip()
    return tag.lower() if _LANGUAGE.fullmatch(tag) else ""


def canonical_of(tree: LexborHTMLParser, base: str) -> Canonical:
    """Return the canonical of the head.

    One that is not http(s) is ignored; so are several that differ, for nobody can tell which.
    """
    found: dict[str, str | None] = {}
    for node in tree.css("head link[rel][href]"):
        attributes = node.attributes
        href = attributes.get("href")
        if href and "canonical" in (attributes.get("rel") or "").lower().split():
            found[href] = absolute(base, href)
    usable = {url for url in found.values() if url}
    if len(usable) == 1:
        return Canonical(url=usable.pop())
    return Canonical(ignored=next(iter(found), ""))


def robots_directives(metas: Metas, x_robots_tag: str, agent: str) -> frozenset[str]:
    """Collect what meta robots and X-Robots-Tag say to everybody and to this agent.

    `none` is spelled out as noindex and nofollow.
    """
    agent = agent.lower()
    said = set(_header_directives(x_robots_tag, agent))
    for name in ("robots", agent):
        for content in metas.names.get(name, ()):
            said.update(part.strip().lower() for part in content.split(","))
    if "none" in said:
        said |= {"noindex", "nofollow"}
    return frozenset(said)


def _header_directives(header: str, agent: str) -> Iterator[str]:
    """Yield the directives of `noindex, otherbot: nofollow, noarchive` that are meant for us.

    A directive after `otherbot:` is otherbot's, until another agent is named.
    """
    meant = True
    for part in header.lower().split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip() not in _WITH_VALUE:
            meant = name.strip() in (agent, "*", "robots")
            part = rest
        if meant:
            yield part.strip()
