"""Reads domain packs from YAML, and says in words what is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shared.contracts import domain_pack_yaml as yaml
from shared.contracts.domain_pack import DomainPack, Field, FieldName, Scope
from shared.contracts.domain_pack_checks import problems
from shared.errors import DomainPackError

DEFAULT_MAX_PAGES = 10_000
_DEFAULT_PREFIX = "host-"
_WHERE = re.compile(r" - at `(?:key` in `)?\$([^`]*)`$")
_STEP = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|\[\.\.\.\]")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def load_pack(path: Path) -> DomainPack:
    """Read one pack. Raises DomainPackError naming file, line and field."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DomainPackError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DomainPackError(f"{path} is not UTF-8: {error}") from error
    try:
        document = yaml.read_yaml(text)
    except yaml.YamlError as error:
        raise DomainPackError(f"{path}:{error.line}: {error.problem}") from error
    pack = _convert(path, document)
    if is_default_pack_name(pack.name):
        what = f"names that begin with {_DEFAULT_PREFIX!r} are kept for hosts without a pack"
        raise DomainPackError(_message(path, document, ("name",), what))
    found = [_message(path, document, where, what) for where, what in problems(pack)]
    if found:
        raise DomainPackError("\n".join(found))
    return pack


def load_packs(directory: Path) -> dict[str, DomainPack]:
    """Read every *.yaml and *.yml of a directory, by name.

    Raises DomainPackError for the first broken file, and for two packs of one name.
    """
    if not directory.is_dir():
        raise DomainPackError(f"{directory} is not a directory of domain packs")
    packs: dict[str, DomainPack] = {}
    files: dict[str, Path] = {}
    for path in sorted((*directory.glob("*.yaml"), *directory.glob("*.yml"))):
        pack = load_pack(path)
        if pack.name in packs:
            raise DomainPackError(
                f"{path}: the name {pack.name!r} is already taken by {files[pack.name]}"
            )
        packs[pack.name], files[pack.name] = pack, path
    return packs


def default_pack(seed_url: str) -> DomainPack:
    """Return the pack of a seed that no pack covers: its own host, 10,000 pages.

    The same host always gives the same pack. Raises DomainPackError when the seed has no host.
    """
    parts = urlsplit(seed_url)
    host = (parts.hostname or "").removesuffix(".")
    if parts.scheme not in ("http", "https") or not host:
        raise DomainPackError(f"the seed {seed_url!r} is not an http or https URL")
    host = f"[{host}]" if ":" in host else host
    digest = blake2b(host.encode(), digest_size=4).hexdigest()
    slug = re.sub(r"[^a-z0-9]+", "-", host).strip("-")[:40]
    return DomainPack(
        name=f"{_DEFAULT_PREFIX}{slug}-{digest}",
        description=f"Made for the seed of a host that no pack covers: {host}",
        scope=Scope(hosts=[host], max_pages=DEFAULT_MAX_PAGES),
    )


def is_default_pack_name(name: str) -> bool:
    """Tell whether a name is of those that `default_pack` gives; files must not use them."""
    return name.startswith(_DEFAULT_PREFIX)


def _convert(path: Path, document: yaml.YamlDocument) -> DomainPack:
    try:
        return msgspec.convert(document.data, DomainPack)
    except msgspec.ValidationError as error:
        where, what = _explain(error, document.data)
        raise DomainPackError(_message(path, document, where, what)) from error


def _explain(error: msgspec.ValidationError, data: Any) -> tuple[yaml.Path, str]:
    """Turn msgspec's message into a path and words."""
    text = str(error)
    found = _WHERE.search(text)
    where = _steps(found[1]) if found else ()
    what = _WHERE.sub("", text)
    if where[:1] == ("fields",) and isinstance(data["fields"], dict):
        return _explain_field(data["fields"]) or (where, what)
    unknown = _UNKNOWN.search(what)
    if unknown:
        return (*where, unknown[1]), f"unknown key{_suggestion(unknown[1], where)}"
    return where, what


def _explain_field(fields: Mapping[str, Any]) -> tuple[yaml.Path, str] | None:
    """Find the field, which msgspec's message does not name."""
    for name, field in fields.items():
        try:
            msgspec.convert(name, FieldName)
            msgspec.convert(field, Field)
        except msgspec.ValidationError as error:
            where, what = _explain(error, field)
            return ("fields", name, *where), what
    return None


def _steps(path: str) -> yaml.Path:
    return tuple(int(step[2]) if step[2] else step[1] or "..." for step in _STEP.finditer(path))


def _suggestion(name: str, where: yaml.Path) -> str:
    close = get_close_matches(name, _known_keys(), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _known_keys() -> set[str]:
    schema = msgspec.json.schema(DomainPack)
    return {key for part in schema["$defs"].values() for key in part.get("properties", {})}


def _message(path: Path, document: yaml.YamlDocument, where: yaml.Path, what: str) -> str:
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    named = f"{field.removeprefix('.')}: " if field else ""
    return f"{path}:{document.line_of(where)}: {named}{what}"
