"""The pack that the demo writes for a real site."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.contracts.domain_pack_loader import load_packs
from shared.errors import ConfigError
from workers.demo_pack import write_pack


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://www.example.org/docs/?page=1", "www.example.org"),
        ("http://127.0.0.1:8080/", "127.0.0.1"),
        ("https://example.org/a'b:%20\"#c", "example.org"),
    ],
)
def test_it_loads_and_stays_on_the_host_with_the_default_delay(
    tmp_path: Path, url: str, host: str
) -> None:
    write_pack(tmp_path / "packs", url, 50)

    (pack,) = load_packs(tmp_path / "packs").values()
    assert pack.seeds == [url]
    assert pack.scope.hosts == [host]
    assert pack.scope.max_pages == 50
    assert pack.politeness.delay_seconds == 1.0


@pytest.mark.parametrize(
    "url", ["example.org", "ftp://example.org/", "file:///etc/passwd", "http://"]
)
def test_what_is_no_page_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="--url"):
        write_pack(tmp_path / "packs", url, 50)
