"""`workers config`: every setting with its value and its origin, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shared.config import HIDDEN
from workers.__main__ import COMMANDS, main


def config(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments])


def test_each_command_is_listed_with_value_and_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "7")

    listing = json.loads(config("--json").output)

    assert list(listing) == list(COMMANDS)
    for command in COMMANDS[1:]:
        rows = {row["setting"]: row for row in listing[command]}
        assert (rows["WORKERS"]["value"], rows["WORKERS"]["origin"]) == (
            "7",
            "environment WORKERS",
        )
        assert rows["GRACE_SECONDS"]["origin"] == "default"


def test_no_secret_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "REDIS_PASSWORD", "DATABASE_URL", "ELASTICSEARCH_URL"):
        monkeypatch.setenv(name, f"scheme://canary-{name}@host")

    shown, as_json = config().output, config("--json").output

    assert "canary" not in shown + as_json
    assert HIDDEN in shown


def test_a_file_is_read_for_one_command(tmp_path: Path) -> None:
    file = tmp_path / "crawler.toml"
    file.write_text("parsers = 3\n")

    result = config("worker-crawler", "--config", str(file), "--json")

    rows = {row["setting"]: row for row in json.loads(result.output)["worker-crawler"]}
    assert (rows["PARSERS"]["value"], rows["PARSERS"]["origin"]) == ("3", f"file {file}")
    assert config("--config", str(file)).exit_code == 2


def test_a_value_that_is_not_allowed_is_named_and_gives_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORKERS", "none")

    result = config()

    assert result.exit_code == 2
    assert "WORKERS='none' (from environment WORKERS)" in result.output
