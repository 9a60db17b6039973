"""Which servers are used, without starting any."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shared.errors import ConfigError
from workers.servers import Servers
from workers.settings import SuiteSettings

GIVEN = {
    "redis_url": "redis://:hush@127.0.0.1:1/0",
    "database_url": "postgresql://me:hush@127.0.0.1:1/db",
}


def servers(directory: Path, **settings: str) -> Servers:
    return Servers(SuiteSettings(data_dir=str(directory), **{**GIVEN, **settings}))


def test_servers_of_the_environment_are_not_started_and_not_shown(tmp_path: Path) -> None:
    used = servers(tmp_path, elasticsearch_url="http://me:hush@127.0.0.1:1")

    used.start()
    used.stop()

    assert used.environment() == {}
    assert "hush" not in repr(used.places())


def test_without_elasticsearch_the_index_lies_in_the_data_directory(tmp_path: Path) -> None:
    assert servers(tmp_path).environment() == {
        "SEARCH_BACKEND": "tantivy",
        "TANTIVY_DIR": str(tmp_path / "tantivy"),
    }


def test_packs_in_the_data_directory_are_used_unless_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packs").mkdir()
    assert servers(tmp_path).environment()["DOMAIN_PACKS"] == str(tmp_path / "packs")

    monkeypatch.setenv("DOMAIN_PACKS", "elsewhere")
    assert "DOMAIN_PACKS" not in servers(tmp_path).environment()


def test_the_environment_file_says_what_the_workers_judge_urls_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOMAIN_PACKS", "my packs")
    monkeypatch.setenv("SEED_SCOPE", "host")
    monkeypatch.delenv("ALLOW_NETWORKS", raising=False)

    lines = servers(tmp_path).write_environment().read_text().splitlines()

    assert f"export DOMAIN_PACKS='{tmp_path}/my packs'" in lines
    assert "export SEED_SCOPE=host" in lines
    assert not any("ALLOW_NETWORKS" in line for line in lines)


def test_a_data_directory_in_use_is_refused(tmp_path: Path) -> None:
    first = servers(tmp_path)
    first.start()

    with pytest.raises(ConfigError, match="another `workers` command uses"):
        servers(tmp_path).start()

    first.stop()
    second = servers(tmp_path)
    second.start()
    second.stop()


def test_the_environment_file_can_be_sourced_and_only_we_can_read_it(tmp_path: Path) -> None:
    directory = tmp_path / "with space and 'quote'"
    used = servers(directory)
    used.start()

    file = used.write_environment()

    command = ["sh", "-c", '. "$1"; printf %s "$TANTIVY_DIR"', "sh", str(file)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={})
    assert shown.stdout == str(directory / "tantivy")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent == directory
    used.stop()
