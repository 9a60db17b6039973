"""Settings: precedence, errors that say everything but secrets, and the URL of Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from shared.config import HIDDEN, Loaded, describe, load, setting, shown
from shared.errors import ConfigError
from shared.settings import WorkerSettings

CANARY = "canary-7f3a"


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A settings struct with one setting of each kind."""

    batch_size: Annotated[int, setting("How many at once.", ge=1, le=100)] = 10
    grace_seconds: Annotated[float, setting("How long to wait.", ge=0)] = 25.0
    color: Annotated[bool, setting("Whether to use colours.", env="USE_COLOR")] = False
    password: Annotated[str, setting("Of the server.", secret=True)] = ""
    pin: Annotated[int, setting("Of the card.", secret=True)] = 0


def loaded(
    flags: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    file: Path | None = None,
) -> Loaded[Example]:
    return load(Example, flags=flags or {}, environ=environ or {}, file=file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file that sets the batch size to 30."""
    path = tmp_path / "worker.toml"
    path.write_text("batch_size = 30\n")
    return path


def test_defaults_need_nothing() -> None:
    found = loaded()
    assert found.settings == Example()
    assert {origin.where for origin in found.origins.values()} == {"default"}


def test_flag_wins_over_environment_over_file_over_default(file: Path) -> None:
    environ = {"BATCH_SIZE": "20"}
    steps = [
        (loaded({"batch_size": 10}, environ, file), 10, "flag --batch-size"),
        (loaded({}, environ, file), 20, "environment BATCH_SIZE"),
        (loaded({}, {}, file), 30, f"file {file}"),
        (loaded(), 10, "default"),
    ]
    for found, value, where in steps:
        assert found.settings.batch_size == value
        assert found.origins["batch_size"].where == where


def test_flag_that_was_not_given_and_empty_variable_are_not_set() -> None:
    found = loaded({"batch_size": None}, {"BATCH_SIZE": ""})
    assert found.settings.batch_size == 10
    assert found.origins["batch_size"].where == "default"


def test_false_flag_is_given() -> None:
    assert loaded({"color": False}, {"USE_COLOR": "true"}).settings.color is False


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("false", False)])
def test_text_of_the_environment_becomes_the_declared_type(text: str, value: bool) -> None:
    found = loaded(environ={"USE_COLOR": text, "GRACE_SECONDS": "1.5"}).settings
    assert found.color is value
    assert found.grace_seconds == 1.5


@pytest.mark.parametrize("value", ["0", "101", "ten", "1.5"])
def test_error_names_setting_value_origin_and_what_is_allowed(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(environ={"BATCH_SIZE": value})
    message = str(caught.value)
    assert f"BATCH_SIZE={value!r}" in message
    assert "environment BATCH_SIZE" in message
    assert "How many at once." in message
    assert "`int" in message


@pytest.mark.parametrize(("value", "bound"), [("0", ">= 1"), ("101", "<= 100")])
def test_error_names_the_bound(value: str, bound: str) -> None:
    with pytest.raises(ConfigError, match=bound):
        loaded(environ={"BATCH_SIZE": value})


def test_error_in_a_file_names_the_file(file: Path) -> None:
    file.write_text("batch_size = 0\n")
    with pytest.raises(ConfigError, match=str(file)):
        loaded(file=file)


def test_secret_is_in_no_error() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(environ={"PIN": CANARY})
    seen = [str(error) for error in _chain(caught.value)]
    assert seen
    assert all(CANARY not in text for text in seen)
    assert HIDDEN in seen[0]


def test_secret_is_in_no_listing() -> None:
    rows = shown(loaded(environ={"PASSWORD": CANARY, "BATCH_SIZE": "7"}))
    assert ("PASSWORD", HIDDEN, "environment PASSWORD") in rows
    assert ("BATCH_SIZE", "7", "environment BATCH_SIZE") in rows
    assert CANARY not in str(rows)


def test_unset_secret_is_shown_as_unset() -> None:
    assert ("PASSWORD", "", "default") in shown(loaded())


def test_unknown_name_in_a_file_lists_the_known(file: Path) -> None:
    file.write_text("batchsize = 30\n")
    with pytest.raises(ConfigError, match=r"'batchsize'.*batch_size, color"):
        loaded(file=file)


def test_file_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*absent\.toml"):
        loaded(file=tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("batch_size = \n")
    with pytest.raises(ConfigError, match=r"broken\.toml is not valid TOML"):
        loaded(file=broken)


def test_describe_lists_settings_as_declared() -> None:
    infos = describe(Example)
    assert [info.env for info in infos] == [
        "BATCH_SIZE",
        "GRACE_SECONDS",
        "USE_COLOR",
        "PASSWORD",
        "PIN",
    ]
    assert [info.secret for info in infos] == [False, False, False, True, True]
    assert infos[0].description == "How many at once."
    assert infos[0].default == 10


def test_every_setting_of_a_worker_is_described() -> None:
    assert all(info.description for info in describe(WorkerSettings))


def test_names_users_know_keep_working() -> None:
    environ = {
        "WORKERS": "4",
        "LOG_LEVEL": "debug",
        "REDIS_ADDR": "redis.example:6380",
        "REDIS_PASSWORD": "a/b@c",
        "DATABASE_URL": "postgresql://h/d",
    }
    found = load(WorkerSettings, flags={}, environ=environ).settings
    assert found.workers == 4
    assert found.log_level == "debug"
    assert found.database_url == "postgresql://h/d"
    assert found.redis() == "redis://:a%2Fb%40c@redis.example:6380/0"


def test_redis_url_wins_over_its_parts() -> None:
    settings = WorkerSettings(redis_url="rediss://h:1/2", redis_addr="other:1", redis_password="x")
    assert settings.redis() == "rediss://h:1/2"


def test_redis_defaults_to_this_machine() -> None:
    assert WorkerSettings().redis() == "redis://127.0.0.1:6379/0"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        WorkerSettings().workers = 3  # type: ignore[misc]


def _chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *_chain(error.__cause__), *_chain(error.__context__)]
