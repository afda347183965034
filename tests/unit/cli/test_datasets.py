"""The datasets commands say what is there, in words and in JSON, and pass on named errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from oakmill.calibration.datasets import SETS, FetchFailed, SetMissing, UnknownSet, installer
from oakmill.cli.datasets import command
from oakmill.errors import SpecError
from oakmill.settings import current


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with nothing in it, a source that cannot be reached, and a small set of random pixels."""
    monkeypatch.setenv("OAKMILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OAKMILL_DATASETS_SOURCE", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("oakmill.calibration.datasets.fetch.PAUSES", ())
    monkeypatch.setitem(SETS, "random", replace(SETS["random"], count=12))
    monkeypatch.setattr(installer, "RANDOM_SIDE", 16)
    current.cache_clear()
    yield tmp_path / "home"
    current.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "photos"
    inner.mkdir()
    for index in range(12):
        Image.linear_gradient("L").rotate(index * 25).convert("RGB").save(inner / f"{index:02}.png")
    (inner / "words.jpg").write_text("words")
    (inner / "copy.png").write_bytes((inner / "00.png").read_bytes())
    return inner


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)


def as_json(*arguments: str | Path) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_the_list_shows_what_is_there_and_how_to_get_the_rest() -> None:
    text = run("list").output
    assert "oakmill datasets install general" in text
    assert text.count("not installed") == 7
    run("install", "random")
    entry = next(item for item in as_json("list") if item["name"] == "random")
    assert (entry["state"], entry["images"]) == ("installed", 12)
    assert "25 points of top-1 lost" in run("list").output


def test_an_installation_says_what_came_and_what_to_know() -> None:
    result = run("install", "RANDOM")
    assert "random: 12 images" in result.stdout
    assert "Random pixels wreck accuracy" in result.stdout
    assert "generating" in result.stderr
    (record,) = as_json("install", "random")
    assert record["images"] == 12
    assert Path(record["folder"]).is_dir()


def test_an_installation_without_network_is_a_named_error(home: Path) -> None:
    with pytest.raises(FetchFailed, match="could not be fetched") as caught:
        run("install", "food")
    assert "oakmill datasets add" in caught.value.remedy
    assert "incomplete" in run("list").output


def test_names_are_checked_before_anything_is_done(home: Path) -> None:
    with pytest.raises(UnknownSet, match="no calibration set 'foo'"):
        run("install", "random", "foo")
    assert not home.exists()
    assert run("install").exit_code == 2


def test_adding_says_what_was_left_out_and_why(folder: Path) -> None:
    text = run("add", "mine", folder).stdout
    assert "mine: 12 images" in text
    assert "words.jpg cannot be read as an image" in text
    assert "copy.png is a copy of 00.png" in text
    assert "--quantization-data mine" in text
    found = as_json("add", "mine", folder, "--overwrite", "--description", "Slopes.")
    assert [item["name"] for item in found["left_out"]] == ["words.jpg"]
    assert [item["name"] for item in found["duplicates"]] == ["copy.png"]
    assert next(item for item in as_json("list") if item["name"] == "mine")["description"] == "Slopes."


def test_show_tells_of_a_set_that_is_not_installed() -> None:
    text = run("show", "warehouse").output
    assert "Differs from HubAI's set" in text
    assert "Shelf, Box" in text
    assert "oakmill datasets install warehouse" in text
    assert as_json("show", "DRIVING")["classes"][:2] == ["Vehicle", "Land vehicle"]


def test_show_tells_of_a_set_that_is_there(folder: Path) -> None:
    run("add", "mine", folder)
    text = run("show", "mine").output
    assert "12, " in text
    assert "00.png, 01.png" in text
    assert "few" in text
    found = as_json("show", "mine")
    assert found["doctor"]["verdict"] == "warning"
    assert len(found["sha256"]) == 64


def test_show_of_an_unknown_set_names_the_known() -> None:
    with pytest.raises(UnknownSet) as caught:
        run("show", "fodo")
    assert "Did you mean food?" in caught.value.remedy


def test_the_doctor_warns_of_random_pixels() -> None:
    run("install", "random")
    result = run("doctor", "random")
    assert result.exit_code == 0
    assert "random_pixels" in result.output
    assert result.output.count("wreck accuracy") == 1


def test_the_doctor_takes_the_models_side(folder: Path) -> None:
    swapped = ("--mean-values", "58.395,57.12,57.375", "--scale-values", "[123.675, 116.28, 103.53]")
    found = as_json("doctor", folder, *swapped, "--shape", "1,3,64,64", "--precision", "INT16_STANDARD")
    codes = {item["code"]: item["severity"] for item in found["findings"]}
    assert codes["swapped_mean_scale"] == "error"
    assert codes["damaged"] == "error"
    assert found["verdict"] == "error"
    assert (found["kind"], found["count"]) == ("folder", 14)
    assert "swapped_mean_scale" in run("doctor", folder, *swapped).output


@pytest.mark.parametrize(
    "arguments", [("--scale-values", "0"), ("--mean-values", "a,b"), ("--shape", "1,-3"), ("--shape", "")]
)
def test_values_are_checked_as_for_a_conversion(folder: Path, arguments: tuple[str, str]) -> None:
    if arguments[1]:
        with pytest.raises(SpecError, match=arguments[0].strip("-").split("-")[0]):
            run("doctor", folder, *arguments)
    else:
        assert run("doctor", folder, *arguments).exit_code == 0


def test_the_doctor_of_a_set_that_is_missing_is_a_named_error() -> None:
    with pytest.raises(SetMissing):
        run("doctor", "general")
