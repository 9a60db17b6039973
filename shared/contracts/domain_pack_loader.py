"""Reads domain packs from YAML, and says in words what is wrong with one."""

from __future__ import annotations

from pathlib import Path

from shared.contracts.domain_pack import DomainPack


def load_pack(path: Path) -> DomainPack:
    """Read one pack. Raises DomainPackError naming file, line and field."""
    raise NotImplementedError


def load_packs(directory: Path) -> dict[str, DomainPack]:
    """Read every *.yaml / *.yml of a directory, by name. Raises DomainPackError."""
    raise NotImplementedError


def default_pack(seed_url: str) -> DomainPack:
    """Return the pack of a seed that no pack covers: its own host, 10,000 pages."""
    raise NotImplementedError
