"""The fields of a domain pack, taken from a page by the pack's rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from crawler.parser.field_types import convert
from crawler.parser.json_ld import Node, json_ld_nodes, json_ld_values
from crawler.parser.metadata import Metas
from shared.contracts.domain_pack import Field, FieldRule
from shared.contracts.domain_pack_regex import Regex

MAX_VALUES = 1_000


def need_text(fields: Mapping[str, Field]) -> bool:
    """Tell whether any rule looks at the main text."""
    return any(rule.regex for field in fields.values() for rule in field.rules)


_regex = lru_cache(maxsize=1024)(Regex)


class FieldFinder:
    """Runs the rules of fields on one page; its JSON-LD is read when first asked for."""

    def __init__(self, tree: LexborHTMLParser, metas: Metas, text: str) -> None:
        """`text` is the main text, which only regular expressions need."""
        self._tree = tree
        self._metas = metas
        self._text = text

    def find(self, fields: Mapping[str, Field]) -> dict[str, Any]:
        """Return what was found, by the name of the field; the first rule with a value wins."""
        found = {}
        for name, field in fields.items():
            for rule in field.rules:
                values = _converted(self._values(rule), field)
                if values:
                    found[name] = values if field.many else values[0]
                    break
        return found

    def _values(self, rule: FieldRule) -> Iterable[Any]:
        if rule.regex:
            return _regex(rule.regex).captures(self._text)
        if rule.css:
            return self._css(rule)
        if rule.json_ld:
            return json_ld_values(self._json_ld, rule.json_ld)
        if rule.open_graph:
            return self._metas.properties.get(rule.open_graph.lower(), ())
        return self._metas.names.get(rule.meta.lower(), ())

    def _css(self, rule: FieldRule) -> Iterable[str]:
        nodes = self._tree.css(rule.css)
        if rule.attribute:
            return [value for node in nodes if (value := node.attributes.get(rule.attribute))]
        return [node.text(separator=" ") for node in nodes]

    @cached_property
    def _json_ld(self) -> list[Node]:
        return json_ld_nodes(self._tree)


def _converted(values: Iterable[Any], field: Field) -> list[Any]:
    """Convert, leave out what does not convert, and keep each value once."""
    kept: dict[Any, None] = {}
    for value in values:
        converted = convert(value, field.type)
        if converted is not None:
            kept[converted] = None
            if not field.many or len(kept) == MAX_VALUES:
                break
    return list(kept)
