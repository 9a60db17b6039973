"""The site's content: one YAML file a recipe, read again when it changes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TypeVar

import msgspec
from ruamel.yaml import YAML


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One recipe. Its file's name is its address."""

    title: str
    category: str
    minutes: int
    serves: int
    published: dt.date
    story: str
    ingredients: list[str]
    steps: list[str]
    slug: str = ""
    modified: float = 0.0
    """When the file was last written, in seconds since the epoch."""


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the site has besides recipes."""

    title: str
    tagline: str
    categories: dict[str, str]
    moved: dict[str, str] = {}
    today: str
    withdrawn: list[str] = []
    unlinked: list[str] = []


R = TypeVar("R", Recipe, Site)


class Cookbook:
    """The files below one directory. Edit, add or delete one, and the next answer shows it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[Path, tuple[int, Recipe | Site]] = {}

    def site(self) -> Site:
        """Return the site's own settings."""
        return self._load(self._directory / "site.yaml", Site)

    def recipe(self, slug: str) -> Recipe | None:
        """Return one recipe, or None when there is no file of this name."""
        return self.recipes().get(slug)

    def recipes(self) -> dict[str, Recipe]:
        """Return all recipes by slug, the newest first."""
        files = sorted((self._directory / "recipes").glob("*.yaml"))
        found = [self._load(file, Recipe) for file in files]
        found.sort(key=lambda recipe: (recipe.published, recipe.slug), reverse=True)
        return {recipe.slug: recipe for recipe in found}

    def _load(self, file: Path, kind: type[R]) -> R:
        changed = file.stat().st_mtime_ns
        known = self._read.get(file)
        if known is not None and known[0] == changed and isinstance(known[1], kind):
            return known[1]
        values = YAML(typ="safe").load(file)
        if kind is Recipe:
            values |= {"slug": file.stem, "modified": changed / 1e9}
        content = msgspec.convert(values, kind)
        self._read[file] = (changed, content)
        return content
