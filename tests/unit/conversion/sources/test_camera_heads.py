from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import ModelProto

from oakmill.conversion.sources import camera_heads
from oakmill.model import open_source
from oakmill.model.source import SourceModel
from oakmill.settings import Settings
from oakmill.spec import Encoding, InputSpec
from tests.unit.heads.families.exports import Export


def opened(model: ModelProto, tmp_path: Path) -> SourceModel:
    file = tmp_path / "model.onnx"
    onnx.save(model, file)
    return open_source(file, tmp_path / "source", Settings(home=tmp_path))


def test_a_head_and_the_classes_names_come_out(tmp_path: Path) -> None:
    """An export holds its classes' names, and its archive had no head and no names: pages said "class 20"."""
    model = Export().model()
    found = camera_heads.applied(model, opened(model, tmp_path), (), 0)
    names = ["output1_yolov6r2", "output2_yolov6r2", "output3_yolov6r2"]
    assert [value.name for value in found.network.graph.output] == names
    (head,) = (found.source.archive or {})["model"]["heads"]
    assert head["metadata"]["classes"] == ["thing 0", "thing 1", "thing 2"]
    assert (head["parser"], head["outputs"], head["metadata"]["subtype"]) == ("YOLO", names, "yolov8")
    assert "strides" not in head["metadata"]
    assert [item.code for item in found.findings] == ["head_recognised"]


def test_names_that_do_not_fit_are_numbers_and_told(tmp_path: Path) -> None:
    model = Export().model(names="{0: 'one'}")
    found = camera_heads.applied(model, opened(model, tmp_path), (), 0)
    assert (found.source.archive or {})["model"]["heads"][0]["metadata"]["classes"] == ["class 0", "class 1", "class 2"]
    assert [item.code for item in found.findings] == ["head_recognised", "class_names_missing"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Export(side=40).model(), "no multiple of its stride 32"),
        (Export().model(stride="48"), "no multiple of its stride 48"),
    ],
)
def test_what_cannot_be_cut_stays_and_is_told(model: ModelProto, words: str, tmp_path: Path) -> None:
    source = opened(model, tmp_path)
    found = camera_heads.applied(model, source, (), 0)
    assert found.network is model
    assert found.source is source
    assert words in found.findings[0].message


def test_a_graph_that_decodes_otherwise_is_left_as_it_is(tmp_path: Path) -> None:
    """The proof: the graph has the form, and its boxes are centred elsewhere than the camera's parser takes them."""
    model = Export().model()
    centres = next(tensor for tensor in model.graph.initializer if tensor.name == "centres")
    values = onnx.numpy_helper.to_array(centres) + 0.5
    centres.CopyFrom(onnx.numpy_helper.from_array(values, "centres"))
    found = camera_heads.applied(model, opened(model, tmp_path), (), 0)
    assert found.network is model
    assert "apart" in found.findings[0].message


def test_other_tasks_and_other_writers_are_nothing_of_ours(tmp_path: Path) -> None:
    for model in (Export().model(task="classify"), Export().model(author="somebody")):
        assert camera_heads.applied(model, opened(model, tmp_path), (), 0).findings == ()


def test_preprocessing_that_nobody_named_is_the_exporters(tmp_path: Path) -> None:
    source = opened(Export().model(), tmp_path)
    (item,), told = camera_heads.preprocessed((InputSpec(name="images"),), source)
    assert (item.scale_values, item.encoding_from, item.encoding_to) == ((255.0,), Encoding.RGB, Encoding.BGR)
    assert "--scale-values 255" in told[0].message
    for asked in (InputSpec(name="images", scale_values=(1.0,)), InputSpec(name="images", encoding_from=Encoding.BGR)):
        assert camera_heads.preprocessed((asked,), source) == ((asked,), ())


def test_an_export_of_gray_images_is_not_given_colours(tmp_path: Path) -> None:
    """RGB and BGR were put upon an input of one channel, and the conversion ended by an option nobody gave."""
    model = Export().model()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    asked = (InputSpec(name="images"),)
    assert camera_heads.preprocessed(asked, opened(model, tmp_path)) == (asked, ())
