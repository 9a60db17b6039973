"""The form of a domain pack: one YAML file that describes a domain to crawl."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
FieldName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
PositiveSeconds = Annotated[float, msgspec.Meta(ge=0, le=31_536_000)]


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which URLs belong to the domain. A deny rule wins over an allow rule."""

    hosts: Annotated[list[str], msgspec.Meta(min_length=1)]
    """Host names; `*.example.org` stands for every name below example.org."""
    allow: list[str] = []
    """Regular expressions (RE2) on path and query; empty allows all."""
    deny: list[str] = []
    max_depth: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 20
    max_pages: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    max_url_length: Annotated[int, msgspec.Meta(ge=64, le=65_536)] = 2_048
    max_path_segments: Annotated[int, msgspec.Meta(ge=1, le=256)] = 16
    max_repeated_segments: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    """How often one path segment may occur before the URL counts as a trap."""
    max_query_parameters: Annotated[int, msgspec.Meta(ge=0, le=256)] = 10

    def host_rule(self, host: str) -> str:
        """Return the entry of `hosts` that covers a host name; empty when none does."""
        for rule in self.hosts:
            if host == rule or (rule.startswith("*.") and host.endswith(rule[1:])):
                return rule
        return ""


class Politeness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How gently the domain's hosts are asked."""

    delay_seconds: PositiveSeconds = 1.0
    """Least time between the starts of two requests to one host."""
    max_crawl_delay_seconds: PositiveSeconds = 60.0
    """A longer Crawl-delay in robots.txt is cut to this."""
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 30)] = 10 * 1024 * 1024
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=300)] = 30.0
    max_redirects: Annotated[int, msgspec.Meta(ge=0, le=20)] = 5


class Recrawl(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When pages are visited again, and when a page that is gone is removed."""

    first_interval_seconds: PositiveSeconds = 86_400.0
    min_interval_seconds: PositiveSeconds = 3_600.0
    max_interval_seconds: PositiveSeconds = 2_592_000.0
    gone_strikes: Annotated[int, msgspec.Meta(ge=1, le=10)] = 2
    """Visits on which a page must answer 404 before it is removed."""
    strike_interval_seconds: PositiveSeconds = 86_400.0
    """Least time between two strikes."""


class FieldRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one field comes from: the first rule that finds something wins.

    Exactly one of css, json_ld, open_graph, meta, regex is set.
    """

    css: str = ""
    attribute: str = ""
    """With css: take this attribute instead of the text."""
    json_ld: str = ""
    """Path in the page's JSON-LD, as `Recipe.author.name`."""
    open_graph: str = ""
    """Property of a <meta property>, as `og:title`."""
    meta: str = ""
    """Name of a <meta name>."""
    regex: str = ""
    """First group of a regular expression (RE2) on the main text."""


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of the domain's documents."""

    rules: Annotated[list[FieldRule], msgspec.Meta(min_length=1)]
    type: Literal["text", "keyword", "number", "integer", "boolean", "date"] = "text"
    many: bool = False
    """A list of all that the winning rule finds."""
    required: bool = False


class DomainPack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A domain: scope, politeness, fields, document shape."""

    name: Name
    description: str = ""
    seeds: list[str] = []
    sitemaps: list[str] = []
    """Sitemaps to read besides those that robots.txt names."""
    scope: Scope
    politeness: Politeness = Politeness()
    recrawl: Recrawl = Recrawl()
    fields: dict[FieldName, Field] = {}
    main_text: str = ""
    """CSS selector of the main text; empty lets the parser find it."""
