"""A wall clock that jumps, for programs that are started with it (libfaketime)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.services.missing import missing

_LIBRARY_DIRECTORIES = ("/usr/lib", "/usr/local/lib")


class JumpingClock:
    """The wall clock of the programs that run with `env`; their monotonic clock stays true."""

    def __init__(self, file: Path) -> None:
        """`file` holds the offset and is read by the programs at every look at the clock."""
        self._file = file
        self._library = _library()
        self.jump_to(0.0)

    @property
    def env(self) -> Mapping[str, str]:
        """What to add to the environment of a program."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump_to(self, seconds: float) -> None:
        """Set the clock so far ahead of the true time (behind it, when negative)."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+f}\n", encoding="ascii")
        fresh.replace(self._file)


def _library() -> Path:
    where = (Path(directory) for directory in _LIBRARY_DIRECTORIES)
    found = [path for each in where for path in each.glob("**/faketime/libfaketimeMT.so.1")]
    return found[0] if found else missing("libfaketime", "apt-get install libfaketime")
