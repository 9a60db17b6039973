"""Loads a frozen settings struct from flags, the environment and a file, in that precedence.

A settings struct declares each setting once: type, bounds, default and help text. Its name in
the environment and in a file is the field's name (upper case in the environment), unless
`setting(env=...)` names another.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec

from shared.errors import ConfigError

S = TypeVar("S", bound=msgspec.Struct)

HIDDEN = "********"


def setting(
    description: str,
    *,
    env: str = "",
    secret: bool = False,
    **bounds: Any,
) -> msgspec.Meta:
    """Describe a setting: what it is for, its bounds (msgspec's `ge`, `le`, `pattern` ...).

    A `secret` is never printed, in no error and no listing.
    """
    return msgspec.Meta(description=description, extra={"env": env, "secret": secret}, **bounds)


class Origin(msgspec.Struct, frozen=True):
    """Where a value came from: `flag --workers`, `environment WORKERS`, `file ...`, `default`."""

    where: str


class Loaded(msgspec.Struct, Generic[S], frozen=True):
    """Settings, and where each came from."""

    settings: S
    origins: Mapping[str, Origin]


class SettingInfo(msgspec.Struct, frozen=True):
    """One setting as declared."""

    name: str
    env: str
    description: str
    secret: bool
    type: Any
    default: Any


def describe(settings_type: type[msgspec.Struct]) -> list[SettingInfo]:
    """List the settings of a struct, in the order of their declaration."""
    hints = get_type_hints(settings_type, include_extras=True)
    infos = []
    for field in msgspec.structs.fields(settings_type):
        meta = _meta_of(hints[field.name])
        extra = (meta.extra if meta is not None else None) or {}
        infos.append(
            SettingInfo(
                name=field.name,
                env=extra.get("env") or field.name.upper(),
                description=(meta.description if meta is not None else "") or "",
                secret=bool(extra.get("secret")),
                type=hints[field.name],
                default=field.default,
            )
        )
    return infos


def load(
    settings_type: type[S],
    *,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    file: Path | None = None,
) -> Loaded[S]:
    """Build settings; flag > environment > file > default.

    A flag that is None was not given; an environment variable that is empty is not set.
    Raises ConfigError naming the setting, its value, where it came from, and what is allowed.
    """
    infos = describe(settings_type)
    from_file = _read_file(file, {info.name for info in infos}) if file else {}
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for info in infos:
        found, value, where = _look_up(info, flags, environ, from_file, file)
        origins[info.name] = Origin(where)
        if found:
            values[info.name] = _convert(info, value, where)
    return Loaded(settings=settings_type(**values), origins=origins)


def shown(loaded: Loaded[Any]) -> list[tuple[str, str, str]]:
    """Return (name in the environment, value as text, origin) for people; secrets are hidden."""
    rows = []
    for info in describe(type(loaded.settings)):
        value = getattr(loaded.settings, info.name)
        text = HIDDEN if info.secret and value else str(value)
        rows.append((info.env, text, loaded.origins[info.name].where))
    return rows


def _meta_of(hint: Any) -> msgspec.Meta | None:
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta):
            return meta
    return None


def _read_file(path: Path, known: set[str]) -> dict[str, Any]:
    import tomllib  # most workers have no file

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    for name in values:
        if name not in known:
            raise ConfigError(
                f"{path}: unknown setting {name!r}; known are: {', '.join(sorted(known))}"
            )
    return values


def _look_up(
    info: SettingInfo,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    from_file: Mapping[str, Any],
    file: Path | None,
) -> tuple[bool, Any, str]:
    if flags.get(info.name) is not None:
        return True, flags[info.name], f"flag --{info.name.replace('_', '-')}"
    if environ.get(info.env):
        return True, environ[info.env], f"environment {info.env}"
    if info.name in from_file:
        return True, from_file[info.name], f"file {file}"
    return False, None, "default"


def _convert(info: SettingInfo, value: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, info.type, strict=False)
    except msgspec.ValidationError as error:
        said = HIDDEN if info.secret else repr(value)
        reason = "is not allowed" if info.secret else f"is not allowed: {error}"
        raise ConfigError(
            f"{info.env}={said} (from {where}) {reason}. {info.description}"
        ) from None
