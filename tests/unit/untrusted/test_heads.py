"""What a model's outputs are taken for, before anything is converted: the cut, and what speaks for it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto

from oakmill.settings import Settings
from oakmill.spec import Encoding, InputSpec
from oakmill.untrusted.folder import Place
from oakmill.untrusted.heads import recognise
from oakmill.untrusted.questions import HeadFacts, RecogniseHead
from tests.conversion import tflite_makers as makers
from tests.conversion.makers import conv_model
from tests.unit.heads.families.exports import Export
from tests.unit.model.test_torch_files import checkpoint, named

NOTED = {"author": "Ultralytics", "task": "detect", "stride": "32", "names": "{0: 'acorn', 1: 'oak', 2: 'jay'}"}


def found(folder: Path, model: ModelProto | None, name: str = "m.onnx", **asked: object) -> HeadFacts:
    place = Place(folder, Settings(home=folder))
    place.files.mkdir(parents=True, exist_ok=True)
    place.scratch.mkdir(parents=True, exist_ok=True)
    if model is not None:
        onnx.save(model, place.files / name)
    return recognise(RecogniseHead.model_validate({"model": name, "platform": "rvc4", **asked}), place)


def test_an_export_says_what_it_is_and_which_nodes_go(tmp_path: Path) -> None:
    model = Export().model(**NOTED)
    facts = found(tmp_path, model)
    assert (facts.sure, facts.classes, facts.names) == ("certain", 3, ("acorn", "oak", "jay"))
    assert facts.is_applied
    assert facts.seen
    assert facts.ends == tuple(f"output{place}_yolov6r2" for place in (1, 2, 3))
    assert facts.preprocessing == "RGB divided by 255"
    assert len(facts.gone) + facts.stay == len(model.graph.node)
    assert sum(node.op == "Conv" for node in facts.gone) <= 1  # what weighs the bins
    assert facts.added > 0


def test_what_is_said_of_the_input_goes_before_what_is_known_of_it(tmp_path: Path) -> None:
    said = InputSpec(name="images", encoding_from=Encoding.BGR, encoding_to=Encoding.BGR)
    assert found(tmp_path, Export().model(**NOTED), inputs=(said,)).preprocessing == ""


def test_a_size_that_strides_do_not_divide_is_a_problem_and_cuts_nothing(tmp_path: Path) -> None:
    said = InputSpec(name="images", shape=(1, 3, 72, 64))
    facts = found(tmp_path, Export().model(**NOTED), inputs=(said,))
    assert "72" in facts.problem
    assert not facts.is_applied
    assert not facts.gone


def test_what_no_family_knows_is_nothing(tmp_path: Path) -> None:
    facts = found(tmp_path, conv_model())
    assert not facts.is_applied
    assert not facts.gone


@pytest.mark.parametrize("family", ["", "no-such-family"])
def test_a_family_that_is_none_finds_nothing(tmp_path: Path, family: str) -> None:
    assert bool(found(tmp_path, Export().model(**NOTED), family=family).family) is not bool(family)


def test_an_export_as_tflite_tells_its_names_and_what_it_takes(tmp_path: Path) -> None:
    """The form said of it that nothing is known here, and let it be fed with pixels of 0 to 255."""
    place = Place(tmp_path, Settings(home=tmp_path))
    place.files.mkdir(parents=True)
    path = makers.written(makers.convolution(), place.files / "yolov8n_float32.tflite")
    with zipfile.ZipFile(path, "a") as notes:
        notes.writestr("metadata.json", '{"author": "Ultralytics", "task": "detect", "names": {"0": "a", "1": "b"}}')
    facts = found(tmp_path, None, path.name)
    assert (facts.format, facts.names, facts.classes) == ("tflite", ("a", "b"), 2)
    assert facts.preprocessing == "RGB divided by 255"


def test_a_checkpoint_is_only_known_once_it_is_exported(tmp_path: Path) -> None:
    place = Place(tmp_path, Settings(home=tmp_path))
    place.files.mkdir(parents=True)
    checkpoint(place.files / "best.pt", named("ultralytics.nn.tasks.DetectionModel"))
    facts = found(tmp_path, None, "best.pt")
    assert (facts.format, facts.family, facts.preprocessing) == ("checkpoint", "", "RGB divided by 255")
