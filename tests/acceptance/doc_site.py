"""Real pages to crawl: the HTML of two Debian documentation packages, on four loopback addresses.

Each page is served by exactly one address; the others redirect to it, so relative links between
the addresses' pages work as they do on a real site that was split over hosts.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

SOURCES = {
    "python": Path("/usr/share/doc/python3.11/html"),
    "postgres": Path("/usr/share/doc/postgresql-doc-15/html"),
}
OWNERS = {
    # (regular expression on the path, address that owns matching pages, address of the rest)
    "python": (r"^/library/", "127.0.0.11", "127.0.0.12"),
    "postgres": (r"^/[a-l]", "127.0.0.13", "127.0.0.14"),
}


_not_pages = shutil.ignore_patterns("_sources", "_static", "_images", "_downloads")


@dataclass(frozen=True)
class Walk:
    """What an independent walk over the files found."""

    pages: dict[str, Path]
    """URL of every reachable HTML page, as its owner serves it, and its file."""
    missing: set[str]
    """URLs that are linked but have no file."""


@dataclass
class DocSite:
    """A private copy of the documentation, so that tests may change it."""

    root: Path
    port: int
    roots: dict[str, Path] = field(init=False)

    def __post_init__(self) -> None:
        """Copy the packages' pages below `root`, following Debian's symbolic links."""
        self.roots = {name: self.root / name for name in SOURCES}
        for name, source in SOURCES.items():
            shutil.copytree(source, self.roots[name], ignore=_not_pages)
            (self.roots[name] / "robots.txt").write_text("User-agent: *\nDisallow: /_sources/\n")
        for path in [self.root, *self.root.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)

    @property
    def hosts(self) -> list[str]:
        """All addresses of the site."""
        return [host for _, *hosts in OWNERS.values() for host in hosts]

    def hosts_of(self, site: str) -> tuple[str, str]:
        """The two addresses that serve a documentation set."""
        _, first, rest = OWNERS[site]
        return first, rest

    def url(self, site: str, path: str) -> str:
        """Return the URL under which the owner of a path serves it."""
        pattern, first, rest = OWNERS[site]
        owner = first if re.match(pattern, path) else rest
        return f"http://{owner}:{self.port}{path}"

    def seeds(self, sites: Iterable[str] = tuple(SOURCES)) -> list[str]:
        """The front page of each documentation set."""
        return [self.url(site, "/index.html") for site in sites]

    def nginx_servers(self, access_log: Path) -> str:
        """Return the `http` part of an nginx configuration that serves the site."""
        lines = [
            "log_format starts '$msec $request_time $server_addr $status $request_uri';",
        ]
        for site, (pattern, first, rest) in OWNERS.items():
            lines += [
                f"map $uri $owner_{site} {{ default {rest}; '~{pattern}' {first}; }}",
                *(self._server(site, host, access_log) for host in (first, rest)),
            ]
        return "\n".join(lines)

    def _server(self, site: str, host: str, access_log: Path) -> str:
        return f"""
            server {{
                listen {host}:{self.port};
                access_log {access_log} starts;
                root {self.roots[site]};
                location = /robots.txt {{ }}
                location / {{
                    if ($owner_{site} != {host}) {{
                        return 301 http://$owner_{site}:{self.port}$request_uri;
                    }}
                }}
            }}"""

    def touch(self, count: int) -> list[Path]:
        """Give files another time and so another ETag, but the same content."""
        touched = self._some("postgres", "release-", count)
        for file in touched:
            os.utime(file, (0, 0))
        return touched

    def change(self, count: int) -> None:
        """Add words to the text of pages; the first is the front page of the Postgres set."""
        front = self.roots["postgres"] / "index.html"
        for number, file in enumerate([front, *self._some("postgres", "sql-alter", count - 1)]):
            text = file.read_text(encoding="utf-8")
            assert "<p>" in text, file
            file.write_text(text.replace("<p>", f"<p>Changed as number {number}. ", 1))

    def delete(self, count: int) -> None:
        """Remove pages that lead nowhere that is not reached in another way."""
        for file in self._some("postgres", "sql-drop", count):
            file.unlink()

    def add(self, count: int) -> None:
        """Add pages, linked from the front page that `change` changes too."""
        for number in range(count):
            name = f"added-{number}.html"
            text = f"<html><title>New {number}</title><body><p>Fresh page {number}.</body></html>"
            (self.roots["postgres"] / name).write_text(text)
            self._append(self.roots["postgres"] / "index.html", f'<a href="{name}">{name}</a>')

    def _some(self, site: str, prefix: str, count: int) -> list[Path]:
        found = sorted(self.roots[site].glob(f"{prefix}*.html"))
        assert len(found) >= count, f"only {len(found)} pages {prefix}* in {site}"
        return found[:count]

    @staticmethod
    def _append(file: Path, markup: str) -> None:
        text = file.read_text(encoding="utf-8")
        head, _, tail = text.rpartition("</body>")
        file.write_text(f"{head}{markup}</body>{tail}", encoding="utf-8")

    def walk(self, sites: Iterable[str] = tuple(SOURCES)) -> Walk:
        """Follow links over the files, from the front pages, without any code of the suite."""
        pages: dict[str, Path] = {}
        missing: set[str] = set()
        for site in sites:
            for url, file in self._walk_site(site):
                if file.is_file():
                    pages[url] = file
                else:
                    missing.add(url)
        return Walk(pages, missing)

    def _walk_site(self, site: str) -> Iterator[tuple[str, Path]]:
        seen = {"/index.html"}
        waiting = deque(seen)
        while waiting:
            path = waiting.popleft()
            file = self.roots[site] / unquote(path).lstrip("/")
            yield self.url(site, path), file
            for target in _links(file) if file.is_file() else ():
                linked = urlsplit(urldefrag(urljoin(f"http://site{path}", target)).url)
                is_page = linked.netloc == "site" and linked.path.endswith(".html")
                if is_page and linked.path not in seen:
                    seen.add(linked.path)
                    waiting.append(linked.path)


class _LinkParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "a" and named.get("href") and "nofollow" not in (named.get("rel") or ""):
            self.links.append(str(named["href"]))


def _links(file: Path) -> list[str]:
    parser = _LinkParser()
    parser.feed(file.read_text(encoding="utf-8", errors="replace"))
    return parser.links


class _ParagraphParser(HTMLParser):
    """Collects the text of paragraphs that have no markup inside."""

    def __init__(self) -> None:
        super().__init__()
        self.paragraphs: list[str] = []
        self._text: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._text = "" if tag == "p" else None

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "p" and self._text is not None:
            self.paragraphs.append(self._text)
        self._text = None


def paragraphs(file: Path) -> list[str]:
    """Return the plain paragraphs of a page."""
    parser = _ParagraphParser()
    parser.feed(file.read_text(encoding="utf-8", errors="replace"))
    return parser.paragraphs
