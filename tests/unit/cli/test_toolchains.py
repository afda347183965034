"""The toolchain commands say what is there, and pass on named errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from oakmill.cli.toolchains import command
from oakmill.errors import ToolchainMissing
from oakmill.settings import current

NAME = "rvc2/openvino-2022.2.0"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with nothing in it, and a uv that reaches nothing."""
    monkeypatch.setenv("OAKMILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    current.cache_clear()
    yield tmp_path / "home"
    current.cache_clear()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_the_list_shows_what_is_missing_and_how_to_install_it() -> None:
    text = run("list").output
    assert NAME in text
    assert "missing" in text
    assert "oakmill toolchains install rvc2" in text


def test_the_list_is_there_for_programs_too() -> None:
    status, *_ = json.loads(run("list", "--json").output)
    assert (status["name"], status["state"], status["folder"]) == (NAME, "missing", None)


def test_an_install_without_network_shows_its_progress_and_says_what_uv_said(home: Path) -> None:
    runner = CliRunner()
    with pytest.raises(ToolchainMissing, match="uv says") as caught:
        runner.invoke(command, ["install", "rvc2"], catch_exceptions=False)
    assert "etwork" in caught.value.message
    assert caught.value.remedy.endswith(f"oakmill toolchains install {NAME}")
    assert not (home / "toolchains" / NAME).exists()


def test_what_is_not_installed_cannot_be_verified() -> None:
    with pytest.raises(ToolchainMissing, match="not installed"):
        run("verify", "rvc2")


def test_a_broken_toolchain_can_be_removed_and_then_is_not_there(home: Path) -> None:
    (home / "toolchains" / NAME).mkdir(parents=True)
    assert "broken" in run("list").output
    assert run("remove", "rvc2").output == f"{NAME}: removed\n"
    assert run("remove", "rvc2").output == f"{NAME}: is not installed\n"


@pytest.mark.parametrize("action", ["install", "verify", "remove"])
def test_an_unknown_name_is_refused_before_anything_is_done(action: str) -> None:
    with pytest.raises(ToolchainMissing, match="known are"):
        run(action, "rvc2", "rvc9")


@pytest.mark.parametrize("action", ["install", "verify", "remove"])
def test_a_command_without_a_name_shows_its_usage(action: str) -> None:
    result = run(action)
    assert result.exit_code == 2
    assert "NAME" in result.output
