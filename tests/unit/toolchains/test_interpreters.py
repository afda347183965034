"""Interpreters are found where people keep them, tried out, and never taken on trust."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from oakmill.errors import ToolchainMissing
from oakmill.settings import Settings
from oakmill.toolchains import interpreters

OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def pretender(path: Path, version: str) -> Path:
    """A program that says what a Python of that version would say."""
    return program(path, f"echo {version}; echo {path}")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a PATH with nothing in them, and a uv that downloads nothing."""
    for name in ("home", "bin", "shims"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}{os.pathsep}{tmp_path / 'bin'}")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return tmp_path


def test_the_python_that_runs_us_is_found_behind_its_environment() -> None:
    found = interpreters.find(OURS, Settings())
    assert found == found.resolve()
    assert found.is_relative_to(sys.base_prefix)


def test_the_setting_wins(bare: Path) -> None:
    mine = pretender(bare / "mine", OURS)
    assert interpreters.find(OURS, Settings(pythons={OURS: mine})) == mine


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("echo 3.8; echo /x", "is Python 3.8"),
        ("exit 0", "is not a Python"),
        ("echo no such thing >&2; exit 127", "no such thing"),
    ],
)
def test_a_setting_that_does_not_do_is_refused_rather_than_passed_over(bare: Path, text: str, problem: str) -> None:
    wrong = program(bare / "wrong", text)
    with pytest.raises(ToolchainMissing, match=problem):
        interpreters.find(OURS, Settings(pythons={OURS: wrong}))


def test_a_setting_that_names_no_file_is_refused(bare: Path) -> None:
    with pytest.raises(ToolchainMissing, match="No such file"):
        interpreters.find(OURS, Settings(pythons={OURS: bare / "nothing"}))


def test_a_shim_that_refuses_is_passed_over_for_a_later_one_on_the_path(bare: Path) -> None:
    program(bare / "shims" / "python3.5", "echo 'pyenv: python3.5: command not found' >&2; exit 127")
    real = pretender(bare / "bin" / "python3.5", "3.5")
    assert interpreters.find("3.5", Settings()) == real


def test_pyenv_gives_its_newest_patch(bare: Path) -> None:
    for patch in ("3.5.9", "3.5.10", "3.50.1"):
        pretender(bare / "home" / ".pyenv" / "versions" / patch / "bin" / "python", patch.rpartition(".")[0])
    found = interpreters.find("3.5", Settings())
    assert found.parts[-3] == "3.5.10"


def test_what_is_missing_is_said_with_every_place_that_was_looked_at(bare: Path) -> None:
    program(bare / "shims" / "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    said: list[str] = []
    with pytest.raises(ToolchainMissing) as caught:
        interpreters.find("3.5", Settings(), lambda event: said.append(event.line))
    places = ("the Python that runs Oakmill", "the PATH", ".pyenv", "uv's interpreters", "uv's downloads: failed")
    assert all(place in caught.value.message for place in places)
    assert "OAKMILL_PYTHONS" in caught.value.remedy
    assert said == ["Letting uv download Python 3.5 ..."]
