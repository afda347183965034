"""Conversions on labelled images, by the platform that copies: the metric in the passport, the bar, AUTO, evaluate."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper
from PIL import Image

from oakmill.calibration import datasets
from oakmill.cli import evaluate as evaluate_command
from oakmill.cli.convert import _chosen
from oakmill.conversion.events import Event, Kind
from oakmill.conversion.passport import bar
from oakmill.conversion.passport.page import render
from oakmill.conversion.pipeline import convert
from oakmill.conversion.verify.evaluate import Asked, evaluate
from oakmill.conversion.verify.trial import as_trained
from oakmill.errors import AccuracyDropped, SpecError
from oakmill.findings import Severity
from oakmill.graph import equality
from oakmill.settings import Settings
from oakmill.spec import Precision
from tests import fakes
from tests.unit.conversion.conftest import Run

IMAGES = 100


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder, random = tmp_path / "photos", np.random.default_rng(3)
    folder.mkdir()
    for number in range(IMAGES):
        spots = Image.fromarray(random.integers(0, 255, (2, 2, 3), dtype=np.uint8))
        spots.resize((8, 8), Image.Resampling.NEAREST).save(folder / f"{number:03}.png")
    return folder


def add(photos: Path, model: Path, settings: Settings, *, wrong: int = 0) -> str:
    """A set whose labels are what the model says, but for the first few."""
    session = equality.Session(onnx.load(model))
    lines = ["file,class_index"]
    for place, path in enumerate(sorted(photos.iterdir())):
        pixels = np.asarray(Image.open(path), np.float32).transpose(2, 0, 1)[None]
        answer = int(session.run({"image": pixels})["scores"].argmax())
        lines.append(f"{path.name},{(answer + (place < wrong)) % 4}")
    table = photos.parent / "classes.csv"
    table.write_text("\n".join(lines))
    datasets.add("mine", photos, settings, labels=str(table), overwrite=True)
    return "mine"


@pytest.fixture
def labelled(photos: Path, frail: Path, settings: Settings) -> str:
    return add(photos, frail, settings)


@pytest.fixture
def frail(tmp_path: Path) -> Path:
    """A model of small weights, which decides otherwise now and then in the toy's 8 bits."""
    path = fakes.model(tmp_path / "frail.onnx", seed=6)
    made = onnx.load(path)
    for tensor in made.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) / 24, tensor.name))
    onnx.save(made, path)
    return path


def codes(passport: Any) -> set[str]:
    return {finding.code for finding in passport.findings}


def test_the_passport_has_the_tasks_own_metric(run: Run, labelled: str, frail: Path) -> None:
    made = run(frail, target_precision="INT8", quantization_data=labelled, max_verification_images=64)
    assert made.passport.accuracy is not None
    method, accuracy = made.passport.accuracy
    assert (method, accuracy.kind) == ("copy", "classification")
    assert accuracy.images == IMAGES // 5
    assert accuracy.headline.reference == 1.0
    assert 0.5 < accuracy.headline.candidate < 1.0
    assert made.passport.images.held_out.startswith("none of them is among")
    document = json.loads((made.file.parent / "frail.toy.passport.json").read_text())
    (row,) = document["checks"][0]["accuracies"]
    assert row["scores"][0]["drop"] == pytest.approx(accuracy.drop, abs=1e-6)
    page = (made.file.parent / "frail.toy.passport.html").read_text()
    assert "By labels" in page
    assert "95 % interval" in page


def test_a_bar_that_is_missed_is_an_error_of_the_passport(run: Run, labelled: str, frail: Path) -> None:
    made = run(frail, target_precision="INT8", quantization_data=labelled, max_drop=0.01)
    (found,) = (item for item in made.passport.findings if item.code == "accuracy_drop")
    assert found.severity is Severity.ERROR
    assert "--max-drop 0.01 allows 1 points" in found.message
    assert "labelled images" in found.message
    assert made.file.exists()
    with pytest.raises(AccuracyDropped):
        AccuracyDropped.require_none(made.passport.as_dict())
    kept = run(frail, out="other", target_precision="INT8", quantization_data=labelled, max_drop=1)
    assert "accuracy_drop" not in codes(kept.passport)
    AccuracyDropped.require_none(kept.passport.as_dict())


def test_without_labels_the_bar_is_held_against_agreement_or_said_not_to_be(run: Run, photos: Path) -> None:
    made = run(target_precision="INT8", quantization_data=str(photos), max_drop=0.5)
    assert bar.drop_of(made.passport) is None  # a vector of four numbers is certainly nothing
    assert "drop_unknown" in codes(made.passport)


def test_auto_goes_by_labels_to_the_format_that_keeps_them(run: Run, labelled: str, frail: Path) -> None:
    """Agreement was all that AUTO knew, though a team had labels: it stopped at a format that lost them points."""
    made = run(frail, target_precision="AUTO", quantization_data=labelled, max_verification_images=64)
    first, second = made.passport.ladder
    assert (first.fit, second.fit) == (False, True)
    assert first.lost > 0.01
    assert second.lost == 0
    assert "top-1" in second.measured
    assert made.passport.images.source == "mine"
    assert made.passport.accuracy is not None
    page = render(made.passport, {})
    assert "<b>taken</b>" in page
    assert 'aria-label="accuracy, size and time of 2 formats"' in page
    wide = run(
        frail, out="wide", target_precision="AUTO", quantization_data=labelled, max_verification_images=64, max_drop=0.9
    )
    assert [rung.fit for rung in wide.passport.ladder] == [True]


def test_both_formats_are_judged_on_the_same_images(run: Run, labelled: str, frail: Path) -> None:
    made = run(frail, target_precision="AUTO", quantization_data=labelled, max_verification_images=64)
    values = {"target_precision": "INT8", "quantization_data": labelled, "max_verification_images": 64}
    by_int8 = run(frail, out="int8", **values)
    assert set(made.passport.images.names) == set(by_int8.passport.images.names)


def test_formats_share_what_they_have_in_common_even_without_a_cache(
    settings: Settings, labelled: str, frail: Path, tmp_path: Path
) -> None:
    """With --no-cache each format prepared the same graph anew."""
    heard: list[str] = []

    def hear(event: Event) -> None:
        heard.extend([event.text] if event.kind is Kind.NOTE else [])

    spec = fakes.ToySpec(target_precision=Precision.AUTO, quantization_data=labelled)
    bare = settings.model_copy(update={"cache_max_mb": 0})
    convert(frail, spec, tmp_path / "out", settings=bare, observer=hear)
    assert heard.count("reused from the cache: prepare") == 1
    assert not settings.cache.exists() or not any(settings.cache.rglob("plain.onnx"))


def test_labels_of_something_else_are_told_and_judge_nothing(run: Run, photos: Path, settings: Settings) -> None:
    folder = photos.parent / "yolo"
    folder.mkdir()
    (folder / "000.txt").write_text("0 0.5 0.5 0.2 0.2")
    datasets.add("boxed", photos, settings, labels=str(folder))
    made = run(target_precision="INT8", quantization_data="boxed")
    assert "labels_unused" in codes(made.passport)
    assert made.passport.accuracy is None


def test_a_file_is_evaluated_beside_its_source(run: Run, settings: Settings, labelled: str, frail: Path) -> None:
    made = run(frail, target_precision="INT8", quantization_data=labelled)
    found = evaluate(made.file, Asked(labelled, frail), settings=settings)
    assert found.accuracy.headline.reference == 1.0
    assert found.accuracy.images + found.left_out == IMAGES
    assert found.left_out == made.recipe.calibration.images
    found.require(0.9)
    with pytest.raises(AccuracyDropped, match="allows 0 points"):
        found.require(0)


def test_a_file_is_evaluated_alone(run: Run, settings: Settings, labelled: str, frail: Path) -> None:
    made = run(frail, target_precision="INT8", quantization_data=labelled)
    alone, beside = (evaluate(made.file, Asked(labelled, source), settings=settings) for source in (None, frail))
    assert alone.accuracy.headline.candidate == pytest.approx(beside.accuracy.headline.candidate)
    assert alone.as_dict()["accuracy"]["scores"][0]["reference"] is None


def test_what_cannot_be_evaluated_is_said(run: Run, settings: Settings, photos: Path, labelled: str) -> None:
    made = run(target_precision="FP32")
    with pytest.raises(SpecError, match="has no labels"):
        evaluate(made.file, Asked(str(photos)), settings=settings)
    with pytest.raises(SpecError, match="beside the model only"):
        evaluate(made.file, Asked(labelled, max_drop=0.1), settings=settings)


def test_the_command_line_says_it_and_ends_with_its_own_code(
    run: Run, settings: Settings, labelled: str, frail: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(frail, target_precision="INT8", quantization_data=labelled)
    monkeypatch.setattr("oakmill.settings.current", lambda: settings)
    asked = [str(made.file), "--data", labelled, "--source", str(frail)]
    told = CliRunner().invoke(evaluate_command.command, asked)
    assert told.exit_code == 0, told.output
    assert "top-1" in told.output
    assert "labelled images calibrated it, and were left out" in told.output
    missed = CliRunner().invoke(evaluate_command.command, [*asked, "--max-drop", "0", "--json"])
    assert isinstance(missed.exception, AccuracyDropped)
    assert missed.exception.exit_code == 11
    assert json.loads(missed.output.splitlines()[-1])["error"]["code"] == "AccuracyDropped"


def test_auto_is_the_first_choice_where_images_can_tell() -> None:
    """The API's clients, recipes, and whoever says how to quantize keep what they mean; without images it is INT8."""
    images = {"quantization_data": "mine"}
    assert _chosen("rvc4", images, {})["target_precision"] == "AUTO"
    assert "target_precision" not in _chosen("rvc4", images, {"name": "of a configuration"})
    for said in ({"range_method": "mse"}, {"tensor_overrides": ("x=int16",)}, {"target_precision": "INT8"}):
        assert _chosen("rvc4", {**images, **said}, {}).get("target_precision") == said.get("target_precision")
    assert "target_precision" not in _chosen("rvc4", {"quantization_data": None}, {})
    assert "target_precision" not in _chosen("rvc2", images, {})


def zipped(photos: Path, labels: str, target: Path) -> Path:
    """Photos in a folder of a zip, and beside them a table of labels."""
    with zipfile.ZipFile(target, "w") as packed:
        for path in photos.iterdir():
            packed.write(path, f"export/images/{path.name}")
        packed.writestr("export/labels.csv", labels)
    return target


def test_labels_in_a_zip_judge_every_format(run: Run, labelled: str, photos: Path, frail: Path, tmp_path: Path) -> None:
    """A hub's calibration set is a zip: it dropped the labels that a team had packed with the photos."""
    set_of = zipped(photos, (photos.parent / "classes.csv").read_text(), tmp_path / "set.zip")
    made = run(frail, target_precision="AUTO", quantization_data=str(set_of), max_verification_images=64)
    first, second = made.passport.ladder
    assert (first.fit, second.fit) == (False, True)
    assert first.lost > 0.01
    assert "top-1" in second.measured  # in floating point too, on links to the same photos


def test_labels_in_a_zip_that_are_none_are_told_and_cost_nothing(run: Run, photos: Path, tmp_path: Path) -> None:
    made = run(
        target_precision="INT8", quantization_data=str(zipped(photos, "file,class\nno.png,3", tmp_path / "set.zip"))
    )
    assert made.passport.accuracy is None
    assert any("labels among the images are not used" in warning for warning in made.progress.warnings)


def test_maps_of_a_platform_that_gives_channels_last_are_read_as_their_heads_are() -> None:
    """A DLC of a detector that is cut at its grids could not be evaluated: no output was that of a detector."""
    given: dict[str, Any] = {"grid": np.zeros((1, 24, 12, 6), np.uint8), "scores": np.zeros((1, 6))}
    found = as_trained(given, channels_last=True)
    assert {name: values.shape for name, values in found.items()} == {"grid": (1, 6, 24, 12), "scores": (1, 6)}
    assert as_trained(given, channels_last=False)["grid"].shape == (1, 24, 12, 6)
