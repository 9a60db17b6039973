"""JSON-LD of a page, and paths into it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser

MAX_NODES = 10_000

Node = dict[str, Any]


def json_ld_nodes(tree: LexborHTMLParser) -> list[Node]:
    """Return all objects of all JSON-LD scripts, outermost first; broken scripts count as empty."""
    nodes: list[Node] = []
    for script in tree.css('script[type="application/ld+json" i]'):
        for node in _objects(_loads(script.text())):
            if len(nodes) == MAX_NODES:
                return nodes
            nodes.append(node)
    return nodes


def json_ld_values(nodes: list[Node], path: str) -> list[Any]:
    """Follow a path such as `Recipe.author.name`; lists are followed into each element.

    The first step names a type, or else a property of any object. An object at the end of the
    path is stood for by its @value, name or @id.
    """
    first, *steps = path.split(".")
    found: list[Any] = [node for node in nodes if first in _types(node)]
    if not found:
        found, steps = list(nodes), [first, *steps]
    for step in steps:
        found = [
            inner
            for value in found
            if isinstance(value, dict)
            for inner in _listed(value.get(step))
        ]
    return [plain for value in found if (plain := _plain(value)) is not None]


def _loads(text: str) -> Any:
    try:
        # Not strict: raw newlines inside strings are common in the wild.
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _objects(value: Any) -> Iterator[Node]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(reversed(list(value.values())))
        elif isinstance(value, list):
            waiting.extend(reversed(value))


def _types(node: Node) -> list[Any]:
    return _listed(node.get("@type"))


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return next(
            (value[key] for key in ("@value", "name", "@id") if _scalar(value.get(key))), None
        )
    return value if _scalar(value) else None


def _scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
