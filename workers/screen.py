"""What people see: colours and tables on a terminal, plain text elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 160
"""Columns where there is no terminal to say: wide enough that no path is cut."""


def screen() -> Console:
    """Return a console on standard output; without colours when that is no terminal."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> Table:
    """Return a table without lines. Cells are plain text: no markup in them is obeyed."""
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


def nearby(path: Path) -> str:
    """Return a path as one types it here: relative when it lies below the current directory."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def own_program(name: str) -> str:
    """Return how to call a program of this environment: by its name when it is on the PATH."""
    program = Path(sys.executable).parent / name
    found = shutil.which(name)
    return name if found and Path(found).samefile(program) else nearby(program)
