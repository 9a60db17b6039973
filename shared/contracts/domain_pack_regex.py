"""The regular expressions of domain packs: RE2, whose time is linear in the text.

A pack is written by its user, and pages by strangers. A backtracking engine lets the two together
stop a worker; RE2 cannot, and bounds its memory. The price: no look-around, no back-references.
"""

from __future__ import annotations

import re2  # type: ignore[import-untyped]

MAX_MEMORY_BYTES = 1 << 20
MAX_PATTERN_CHARS = 2_000


class Regex:
    """One compiled expression."""

    def __init__(self, pattern: str) -> None:
        """Compile. Raises ValueError saying in words what is wrong with the pattern."""
        if len(pattern) > MAX_PATTERN_CHARS:
            raise ValueError(f"longer than {MAX_PATTERN_CHARS} characters")
        options = re2.Options()
        options.log_errors = False
        options.max_mem = MAX_MEMORY_BYTES
        try:
            self._compiled = re2.compile(pattern, options)
        except re2.error as error:
            raise ValueError(_words(error)) from error
        self.pattern = pattern
        self.groups: int = self._compiled.groups

    def found_in(self, text: str) -> bool:
        """Tell whether the expression matches anywhere in the text."""
        return self._compiled.search(text) is not None

    def captures(self, text: str) -> list[str]:
        """Return the first group (the whole match when there is none) of every match, in order."""
        group = min(1, self.groups)
        return [match[group] for match in self._compiled.finditer(text) if match[group]]


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else str(error)
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
