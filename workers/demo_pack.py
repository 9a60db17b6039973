"""The domain pack that the demo writes for a site that somebody names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

from shared.contracts.domain_pack_loader import load_pack
from shared.errors import ConfigError

_PACK = """\
# Written by `workers demo`. Copy it to start a pack of your own; see docs/domain-packs.md.
name: {name}
seeds:
  - {url}
scope:
  hosts: [{host}]
  max_pages: {pages}
politeness:
  delay_seconds: 1.0
"""


def write_pack(directory: Path, url: str, pages: int) -> None:
    """Write a pack for the host of a URL: one request a second, so many pages at most.

    Raises ConfigError when it is not the URL of a web page.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", url):
        raise ConfigError(f"--url {url!r} is not the address of a page, as https://example.org/")
    name = "site-" + re.sub(r"[^a-z0-9]+", "-", parts.hostname.lower()).strip("-")[:50]
    directory.mkdir(parents=True)
    file = directory / f"{name}.yaml"
    text = _PACK.format(
        name=name, url=json.dumps(url), host=json.dumps(parts.hostname), pages=pages
    )
    file.write_text(text, encoding="utf-8")
    load_pack(file)
