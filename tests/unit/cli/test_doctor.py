"""The doctor says what is so on this very machine, and never refuses to look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from oakmill.cli.doctor import command
from oakmill.processes import sandbox
from oakmill.processes.sandbox import Isolation, Level
from oakmill.settings import current


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("OAKMILL_HOME", str(tmp_path / "[home]"))
    current.cache_clear()
    yield tmp_path / "[home]"
    current.cache_clear()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def examined() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("--json"))
    return found


def test_it_reports_versions_folders_toolchains_and_changed_settings(home: Path) -> None:
    found = examined()
    assert found["packages"]["numpy"] == np.__version__
    assert found["folders"][0]["path"] == str(home)
    assert found["folders"][0]["writable"] is True
    assert found["folders"][0]["free_gb"] > 0
    assert {item["state"] for item in found["toolchains"]} == {"missing"}
    assert found["settings"]["OAKMILL_HOME"]["value"] == str(home)
    assert set(found["settings"]) == {"OAKMILL_HOME"}
    assert found["isolation"]["level"] == sandbox.probe().level


def test_people_read_the_same(home: Path) -> None:
    text = run()
    assert f"OAKMILL_HOME={home}" in text
    assert "rvc2/openvino-2022.2.0: missing" in text
    assert f"numpy {np.__version__}" in text
    assert f"{sandbox.probe().level} (setting: preferred)" in text


def test_what_a_wall_leaves_open_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "probe", lambda: Isolation(Level.LANDLOCK, "some wall", gaps=("Signals get out.",)))
    assert examined()["isolation"]["gaps"] == ["Signals get out."]
    assert "Signals get out." in run()


def test_a_sandbox_that_is_required_and_missing_is_shown_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OAKMILL_ISOLATION", "required")
    monkeypatch.setattr(sandbox, "probe", lambda: Isolation(Level.NONE, "nothing works", sandbox.APPARMOR_REMEDY))
    assert examined()["isolation"]["refused"] is True
    text = run()
    assert "nothing works" in text
    assert "no tool will be run" in text
    assert "apparmor_parser -r /etc/apparmor.d/bwrap" in text


def test_a_sandbox_that_is_switched_off_is_shown_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAKMILL_ISOLATION", "off")
    assert examined()["isolation"]["level"] == "none"
    assert "OAKMILL_ISOLATION=off (default: preferred)" in run()


def test_a_broken_toolchain_does_not_stop_it(home: Path) -> None:
    (home / "toolchains" / "rvc2" / "openvino-2022.2.0").mkdir(parents=True)
    item, *_ = examined()["toolchains"]
    assert item["state"] == "broken"
    assert "toolchain.json" in item["detail"]
