"""The example site as a child process on loopback, over a copy of its files that may be changed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from shared.embedded.server_process import LOOPBACK, free_port
from shared.errors import ConfigError
from workers.child import Child

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "recipes"
CHANGED = "red-lentil-soup"
REMOVED = "hazelnut-meringues"
_SEED = "http://127.0.0.1:8460/"
"""Seed of the example's pack; the demo serves the site on a free port instead."""
NEW_WORD = "sumac"
"""Stands in no recipe before the change."""


class ExampleSite:
    """Serves `directory`/data, a copy of the example's files."""

    def __init__(self, directory: Path) -> None:
        """Copy the files. Raises ConfigError when the examples are not installed."""
        if not EXAMPLE.is_dir():
            raise ConfigError(
                "the example site is not part of the installed package; run the demo in a clone "
                "of the project, or give --url"
            )
        self._data = directory / "site"
        self._recipes = self._data / "recipes"
        shutil.copytree(EXAMPLE / "site" / "data", self._data)
        self.packs = directory / "packs"
        self.packs.mkdir()
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}/"
        pack = (EXAMPLE / "pack.yaml").read_text(encoding="utf-8")
        (self.packs / "recipes.yaml").write_text(pack.replace(_SEED, self.url), encoding="utf-8")
        command = [sys.executable, "-m", "examples.recipes.site"]
        self.process = Child(
            "example site",
            [*command, "--port", str(port), "--data", str(self._data)],
            {"PYTHONPATH": str(EXAMPLE.parent.parent), "PATH": os.defpath},
            directory / "logs" / "site.log",
            port,
            ready="/robots.txt",
        )

    def environment(self) -> dict[str, str]:
        """Return the settings that let a crawler reach this site, and no other."""
        return {"DOMAIN_PACKS": str(self.packs), "ALLOW_NETWORKS": "127.0.0.0/8"}

    def address_of(self, slug: str) -> str:
        """Return the URL of a recipe."""
        return f"{self.url}recipes/{slug}"

    def change_one(self) -> None:
        """Add a sentence with a new word to one recipe."""
        file = self._recipes / f"{CHANGED}.yaml"
        text = file.read_text(encoding="utf-8")
        story = next(line for line in text.splitlines() if line.startswith("story:"))
        file.write_text(text.replace(story, f"{story} A pinch of {NEW_WORD} does no harm."))

    def remove_one(self) -> None:
        """Delete one recipe; its address answers 404 from now on."""
        (self._recipes / f"{REMOVED}.yaml").unlink()
