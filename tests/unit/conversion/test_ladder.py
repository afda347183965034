"""AUTO: the fastest number format whose passport is ok, found by converting; the toy stands in for a platform."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from oakmill.conversion import ladder
from oakmill.conversion.events import Event, Kind
from oakmill.conversion.recipe import read
from oakmill.errors import CompileFailed, OutputExists, SourceError
from oakmill.findings import Severity
from oakmill.settings import Settings
from oakmill.spec import Precision
from oakmill.spec.rvc3 import Rvc3Spec
from tests import fakes
from tests.unit.conversion.conftest import Run


@pytest.fixture
def photos(tmp_path: Path) -> str:
    """As many, and as even, with edges, as a calibration wants them."""
    folder, random = tmp_path / "photos", np.random.default_rng(3)
    folder.mkdir()
    for number in range(160):
        spots = Image.fromarray(random.integers(0, 255, (4, 4, 3), dtype=np.uint8))
        spots.resize((32, 32), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    return str(folder)


@pytest.fixture
def frail(tmp_path: Path) -> Path:
    """A model whose weights are nothing in 8 bits of the toy: whole parts of a 64th."""
    path = fakes.model(tmp_path / "frail.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) / 1000, tensor.name))
    onnx.save(model, path)
    return path


def test_the_first_whose_passport_is_ok_is_the_result(run: Run, photos: str, tmp_path: Path) -> None:
    made = run(target_precision="AUTO", quantization_data=photos)
    assert made.recipe.spec.model_dump()["target_precision"] == Precision.INT8_STANDARD, made.passport.ladder
    assert fakes.Toy.ran.count("compile") == 1
    assert [(rung.precision, rung.verdict) for rung in made.passport.ladder] == [("INT8_STANDARD", Severity.OK)]
    assert made.file.parent == tmp_path / "out"
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_a_format_that_loses_too_much_is_followed_by_the_next(run: Run, photos: str, frail: Path) -> None:
    """An embedded-vision engineer converted in each format by hand, and compared passports, to find the one to ship."""
    notes: list[str] = []

    def hear(event: Event) -> None:
        if event.kind is Kind.NOTE:
            notes.append(event.text)

    made = run(frail, target_precision="AUTO", quantization_data=photos, observer=hear)
    first, second = made.passport.ladder
    assert (first.precision, first.verdict) == ("INT8_STANDARD", None)
    assert "computes another" in first.refused
    assert (second.precision, second.verdict) == ("FP16_STANDARD", Severity.OK)
    assert "AUTO: trying FP16_STANDARD, 2 of 2" in notes
    assert any(note.startswith("AUTO: INT8_STANDARD: not made") for note in notes)
    document = json.loads((made.file.parent / "frail.toy.passport.json").read_text())
    assert [rung["precision"] for rung in document["ladder"]] == ["INT8_STANDARD", "FP16_STANDARD"]
    assert "Number formats that were tried" in (made.file.parent / "frail.toy.passport.html").read_text()


def test_without_calibration_the_same_photos_test(run: Run, photos: str, frail: Path) -> None:
    made = run(frail, target_precision="AUTO", quantization_data=photos)
    assert made.passport.images.source == "photos"


def test_the_recipe_says_the_format_that_was_found(run: Run, photos: str, settings: Settings) -> None:
    made = run(target_precision="AUTO", quantization_data=photos)
    recipe = read.read(made.file.parent / "small.toy.recipe.yaml", settings)
    assert isinstance(recipe.spec, fakes.ToySpec)
    assert recipe.spec.target_precision is Precision.INT8_STANDARD


def test_what_no_format_can_is_refused_in_the_words_of_the_last(run: Run, photos: str, tmp_path: Path) -> None:
    with pytest.raises(CompileFailed, match="refuses Relu"):
        run(target_precision="AUTO", quantization_data=photos, refused="Relu")
    assert not list((tmp_path / "out").iterdir())


def test_layers_left_in_floating_point_are_no_business_of_fp16(settings: Settings, tmp_path: Path) -> None:
    """AUTO on RVC3 with --ignored-type ended at FP16 with a recipe that its own spec refuses: no replay."""
    spec = Rvc3Spec(target_precision=Precision.AUTO, ignored_types=("MatMul",), ignored_names=("head",))
    quantized, plain = ladder._rungs(spec, settings, tmp_path)
    assert isinstance(quantized, Rvc3Spec)
    assert (quantized.ignored_types, quantized.ignored_names) == (("MatMul",), ("head",))
    assert Rvc3Spec.model_validate(plain.model_dump()).target_precision is Precision.FP16_STANDARD


def test_what_has_nothing_to_do_with_the_format_ends_it_at_once(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        run(target_precision="AUTO", quantization_data=str(tmp_path / "nothing"))
    assert fakes.Toy.ran == []


def test_a_name_that_is_taken_is_told_before_any_work(run: Run, photos: str) -> None:
    run(target_precision="AUTO", quantization_data=photos)
    fakes.Toy.ran.clear()
    with pytest.raises(OutputExists):
        run(target_precision="AUTO", quantization_data=photos)
    assert fakes.Toy.ran == []
