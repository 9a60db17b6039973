"""Reads source definitions from YAML, and says in words what is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from shared.contracts import domain_pack_yaml as yaml
from shared.contracts.source_definition import SourceDefinition
from shared.documents.port import DOCUMENTS_SOURCE
from shared.errors import ConfigError

_WHERE = re.compile(r" - at `\$([^`]*)`$")
_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def load_source(path: Path) -> SourceDefinition:
    """Read one definition. Raises ConfigError naming file, line and field."""
    try:
        document = yaml.read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error}") from error
    except yaml.YamlError as error:
        raise ConfigError(f"{path}:{error.line}: {error.problem}") from error
    try:
        definition = msgspec.convert(document.data, SourceDefinition)
    except msgspec.ValidationError as error:
        raise ConfigError(_message(path, document, *_explain(error))) from error
    found = [_message(path, document, where, what) for where, what in _problems(definition)]
    if found:
        raise ConfigError("\n".join(found))
    return definition


def _problems(definition: SourceDefinition) -> Iterator[tuple[yaml.Path, str]]:
    if definition.source == DOCUMENTS_SOURCE:
        yield ("source",), f"{DOCUMENTS_SOURCE!r} is the built-in source; choose another name"
    if len(definition.key_columns) > 1 and not definition.id:
        yield ("key",), "a key of several columns needs `id`, an SQL expression that joins them"
    if "$1" not in definition.documents:
        yield ("documents",), "the query does not use $1, the ids of the documents to build"
    tables = [child.table for child in definition.children]
    for position, child in enumerate(definition.children):
        if "changed" not in child.keys:
            yield ("children", position, "keys"), "the query does not read from `changed`"
        if child.table in tables[:position]:
            what = f"{child.table} is listed twice; join its queries with UNION"
            yield ("children", position, "table"), what


def _explain(error: msgspec.ValidationError) -> tuple[yaml.Path, str]:
    text = str(error)
    found = _WHERE.search(text)
    steps = _STEP.finditer(found[1]) if found else iter(())
    where = tuple(int(step[2]) if step[2] else step[1] for step in steps)
    unknown = _UNKNOWN.search(text)
    return (*where, unknown[1]) if unknown else where, _WHERE.sub("", text)


def _message(path: Path, document: yaml.YamlDocument, where: yaml.Path, what: str) -> str:
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    named = f"{field.removeprefix('.')}: " if field else ""
    return f"{path}:{document.line_of(where)}: {named}{what}"
