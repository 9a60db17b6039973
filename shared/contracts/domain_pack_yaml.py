"""A YAML file as plain data, together with the line on which every value stands."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

MAX_CHARS = 1_000_000
MAX_NESTING = 32

Path = tuple[str | int, ...]
"""Keys and positions that lead to a value: ("scope", "allow", 0)."""


class YamlError(Exception):
    """The text is not YAML that a pack may use."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line
        """Counted from 1."""


class YamlDocument(msgspec.Struct, frozen=True):
    """Data and lines of one file."""

    data: Any
    lines: dict[Path, int]

    def line_of(self, path: Path) -> int:
        """Return the line of a value, or of the nearest thing around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(text: str) -> YamlDocument:
    """Parse YAML 1.2. Aliases are refused: nine lines of them can stand for gigabytes.

    Raises YamlError.
    """
    if len(text) > MAX_CHARS:
        raise YamlError(f"longer than {MAX_CHARS} characters", 1)
    yaml = YAML(typ="safe", pure=True)
    try:
        _refuse_dangers(yaml, text)
        root = yaml.compose(StringIO(text))
        return YamlDocument(yaml.load(text), dict(_lines(root)) if root else {})
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(str(error.problem or error), mark.line + 1 if mark else 1) from error
    except (YAMLError, ValueError) as error:
        raise YamlError(str(error), 1) from error


def _refuse_dangers(yaml: YAML, text: str) -> None:
    depth = 0
    for event in yaml.parse(StringIO(text)):
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            raise YamlError(f"aliases (*{event.anchor}) are not allowed; write the value out", line)
        kind = type(event).__name__
        depth += kind.endswith(("MappingStartEvent", "SequenceStartEvent"))
        depth -= kind.endswith(("MappingEndEvent", "SequenceEndEvent"))
        if depth > MAX_NESTING:
            raise YamlError(f"nested deeper than {MAX_NESTING} levels", line)


def _lines(node: Node, path: Path = ()) -> Iterator[tuple[Path, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield from _lines(value, inner)
            yield inner, key.start_mark.line + 1
    elif isinstance(node, SequenceNode):
        for position, value in enumerate(node.value):
            yield from _lines(value, (*path, position))
