"""Runs servers that refuse root (Postgres, Elasticsearch) when we are root ourselves.

They run as `nobody`. Where the project lies below a directory that only root may enter (a clone
in /root), the server keeps the one capability to pass through; no mode of that directory changes
and no user is created.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

_USER = "nobody"


def privileges(paths: Iterable[Path]) -> list[str]:
    """Return the options of `setpriv` for a command that must not be root and uses these paths.

    None are needed when we are not root.
    """
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(_USER)
    options = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if not all(reachable(path) for path in paths):
        options += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        options += ["--securebits=+no_setuid_fixup"]  # so that access(2) heeds the capability
    return options


def reachable(path: Path) -> bool:
    """Return whether the user such a server runs as can get to a path without a capability."""
    parents = {*path.absolute().parents, *path.resolve().parents}  # on both sides of a link
    return os.geteuid() != 0 or all(parent.stat().st_mode & stat.S_IXOTH for parent in parents)


def give(path: Path) -> None:
    """Make that user the owner of a file or directory; nothing to do when we are not root."""
    if os.geteuid() == 0:
        user = pwd.getpwnam(_USER)
        os.chown(path, user.pw_uid, user.pw_gid)
