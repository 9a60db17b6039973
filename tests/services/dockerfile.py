"""Reads a Dockerfile and follows it without Docker: what RUN and COPY do, in a directory."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

_MOVED = "/app"
_KEPT = ("HOME", "UV_", "PIP_", "SSL_", "HTTP", "http", "NO_PROXY", "no_proxy")


class Stage(msgspec.Struct):
    """The instructions from one FROM to the next, in their order, as (name, arguments)."""

    instructions: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        """Return the arguments of every instruction of this name."""
        return [arguments for found, arguments in self.instructions if found == name]

    def command(self, name: str) -> list[str]:
        """Return the exec form (a JSON list) at the end of the last CMD or HEALTHCHECK."""
        arguments = self.all(name)[-1]
        return [str(part) for part in json.loads(arguments[arguments.index("[") :])]

    def environment(self) -> dict[str, str]:
        """Return what ENV sets."""
        pairs = [pair for line in self.all("ENV") for pair in shlex.split(line)]
        return dict(pair.split("=", 1) for pair in pairs)


def stages(dockerfile: Path) -> list[Stage]:
    """Return the stages of a Dockerfile."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        name, _, arguments = line.strip().partition(" ")
        if name == "FROM":
            found.append(Stage([]))
        if name:
            found[-1].instructions.append((name, arguments.strip()))
    return found


class Build:
    """Follows a build stage; `/app` becomes `root`/app, Python a new environment of its own."""

    def __init__(self, context: Path, root: Path) -> None:
        self._context = context
        self.app = root / "app"
        self._python = root / "python"
        self.app.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", self._python], check=True)

    def follow(self, stage: Stage) -> None:
        """Carry out every COPY and RUN.

        Raises CalledProcessError when a command fails.
        """
        environment = self.environment(stage)
        for name, arguments in stage.instructions:
            if name == "COPY":
                self._copy(shlex.split(arguments))
            elif name == "RUN":
                command = self.moved(arguments)
                subprocess.run(command, shell=True, check=True, cwd=self.app, env=environment)

    def environment(self, stage: Stage) -> dict[str, str]:
        """Return the variables a command of this stage sees: none of ours but network settings."""
        own = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
        own |= {"PATH": f"{self._python}/bin:/usr/bin:/bin"}
        return own | {
            name: self.moved(value).replace("$PATH", own["PATH"])
            for name, value in stage.environment().items()
        }

    def moved(self, text: str) -> str:
        """Return text with `/app` replaced by where it is here."""
        return re.sub(rf"{_MOVED}(?=[/\s\"']|$)", str(self.app), text)

    def _copy(self, arguments: list[str]) -> None:
        *sources, target = [part for part in arguments if not part.startswith("--")]
        for source in sources:
            found, to = self._context / source, self.app / self.moved(target)
            if found.is_dir():
                shutil.copytree(found, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                to.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, to)
