"""Which imports each contract must refuse, worked out from the contract itself."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).parents[2]
PACKAGES = ("shared", "crawler", "indexer", "sync", "workers")
_OUTSIDER = "shared.jobs"  # knows nothing of servers, so no contract lets it import an adapter


class Plant(NamedTuple):
    """An import that must not be: `importer` is an existing module, `imported` what it imports."""

    importer: str
    imported: str


def contracts() -> list[dict[str, Any]]:
    """Return the import-linter contracts of pyproject.toml."""
    configuration = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    found: list[dict[str, Any]] = configuration["tool"]["importlinter"]["contracts"]
    return found


def plants(contract: dict[str, Any]) -> list[Plant]:
    """Return at least one forbidden import for every rule in a contract.

    Raises ValueError for a type of contract this does not know: teach it.
    """
    if contract["type"] == "layers":
        return [
            plant for box in contract.get("containers", [""]) for plant in _upward(contract, box)
        ]
    if contract["type"] == "protected":
        return [Plant(_OUTSIDER, module) for module in contract["protected_modules"]]
    raise ValueError(f"no planted import for contracts of type {contract['type']}")


def sow(plant: Plant, tree: Path) -> None:
    """Append the import to its module in a copy of the packages."""
    module = tree / plant.importer.replace(".", "/")
    file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    assert file.exists()
    with file.open("a") as source:
        source.write(f"\nimport {plant.imported}\n")


def _upward(contract: dict[str, Any], container: str) -> Iterator[Plant]:
    layers = [[_named(container, m) for m in line.split("|")] for line in contract["layers"]]
    for higher, lower in pairwise(layers):
        yield from (Plant(below, above) for below in lower for above in higher)
    for layer in layers:
        yield from (Plant(one, other) for one, other in permutations(layer, 2))


def _named(container: str, module: str) -> str:
    return f"{container}.{module.strip()}".removeprefix(".")
