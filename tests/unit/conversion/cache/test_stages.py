"""Single stages out of the cache, in whole conversions to the toy: what ran again, and what did not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from oakmill.conversion.cache.store import Store
from oakmill.conversion.converted import Converted
from oakmill.settings import Settings
from tests import fakes
from tests.unit.conversion.conftest import Run

REUSED = "reused from the cache: "


def reused(made: Converted) -> list[str]:
    return [note.removeprefix(REUSED) for note in made.progress.notes if note.startswith(REUSED)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    drawn = np.random.default_rng(1)
    for index in range(8):
        Image.fromarray(drawn.integers(0, 255, (12, 12, 3), np.uint8)).save(folder / f"{index}.png")
    return folder


def test_the_same_work_is_done_once(run: Run) -> None:
    first, second = run(), run(out="again")
    assert reused(first) == []
    assert reused(second) == ["prepare", "compile", "measure"]
    assert fakes.Toy.ran == ["compile", "passport"]
    assert second.recipe == first.recipe
    assert second.passport == first.passport
    assert second.file.read_bytes() == first.file.read_bytes()


@pytest.mark.parametrize(
    ("asked", "again"),
    [
        ({"name": "other"}, ["prepare", "compile", "measure"]),
        ({"output_format": "native"}, ["prepare", "compile", "measure"]),
        ({"max_verification_images": 3}, ["prepare", "compile"]),
        ({"paint": 1}, ["prepare"]),
        ({"toy_args": ["--gloss"]}, ["prepare"]),
        ({"inputs": [{"mean_values": [1, 2, 3]}]}, []),
        ({"disable_onnx_simplification": True}, []),
    ],
)
def test_a_parameter_leaves_the_stages_that_do_not_read_it(asked: dict[str, Any], again: list[str], run: Run) -> None:
    run()
    assert reused(run(out="other", **asked)) == again


def test_what_was_told_is_told_again(run: Run) -> None:
    """Warnings of a stage were lost with its second, reused run."""
    asked = {"inputs": [{"mean_values": [57.375, 57.12, 58.395], "scale_values": [103.53, 116.28, 123.675]}]}
    first, second = run(**asked), run(out="again", **asked)
    assert reused(second)
    assert sorted(second.progress.warnings) == sorted(first.progress.warnings)
    assert {note for note in second.progress.notes if not note.startswith(REUSED)} == set(first.progress.notes)


def test_another_model_of_the_same_name_is_made_anew(run: Run, model: Path, tmp_path: Path) -> None:
    run()
    fakes.model(model, seed=7)
    other = run(out="other")
    assert reused(other) == []
    assert fakes.Toy.ran == ["compile", "passport"] * 2


def test_the_users_own_images_count_by_content(run: Run, photos: Path, tmp_path: Path) -> None:
    asked = {"verification_images": str(photos)}
    run(**asked)
    moved = Path(shutil.copytree(photos, tmp_path / "elsewhere" / "photos"))
    assert reused(run(out="moved", verification_images=str(moved))) == ["prepare", "compile", "measure"]
    Image.new("RGB", (12, 12)).save(photos / "0.png")
    assert reused(run(out="changed", **asked)) == ["prepare", "compile"]


def test_a_calibration_counts_by_the_images_that_teach_it(run: Run, photos: Path) -> None:
    asked = {"target_precision": "INT8", "quantization_data": str(photos)}
    run(**asked)
    assert fakes.Toy.ran == ["calibrate", "compile", "passport"]
    assert reused(run(out="again", **asked)) == ["prepare", "compile", "measure"]
    assert reused(run(out="fewer", max_quantization_images=2, **asked)) == ["prepare", "compile"]


def test_a_damaged_entry_is_made_anew(run: Run, settings: Settings) -> None:
    first = run()
    for path in (settings.cache / "compile").rglob("*.toy"):
        path.write_bytes(path.read_bytes()[:-1])
    second = run(out="again")
    assert "compile" not in reused(second)
    assert second.file.read_bytes() == first.file.read_bytes()


def test_what_is_of_another_form_is_made_anew(run: Run, settings: Settings) -> None:
    run()
    (entry,) = (settings.cache / "measure").iterdir()
    other = {"passport": {"platform": "toy"}, "notes": [], "warnings": []}
    assert Store.of(settings).put("measure", entry.name, {}, other, replace=True)
    assert reused(run(out="again")) == ["prepare", "compile"]
    assert reused(run(out="third")) == ["prepare", "compile", "measure"]


def test_without_a_cache_everything_runs(run: Run, settings: Settings) -> None:
    object.__setattr__(settings, "cache_max_mb", 0)
    run()
    run(out="again")
    assert fakes.Toy.ran == ["compile", "passport"] * 2
    assert not settings.cache.exists()


def test_a_failed_stage_leaves_nothing_in_the_cache(run: Run, settings: Settings) -> None:
    with pytest.raises(Exception, match="refuses"):
        run(refused="Conv")
    assert not list((settings.cache / "compile").glob("*"))


def test_a_large_source_keeps_nothing(run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oakmill.conversion.cache.stages.LARGEST", 10)
    run()
    assert reused(run(out="again")) == []
    assert not (settings.cache / "compile").exists()


def test_the_finished_file_is_the_one_that_the_passport_speaks_of(run: Run) -> None:
    run(output_format="native")
    again = run(out="again", output_format="native")
    assert [prop.value for prop in onnx.load(again.file).metadata_props] == ["0"]
