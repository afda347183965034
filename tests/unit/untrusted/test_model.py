"""What is known of an uploaded model, as the registry stores it."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import ModelProto

from oakmill.settings import Settings
from oakmill.untrusted.folder import Place
from oakmill.untrusted.model import inspect
from oakmill.untrusted.questions import InspectModel, SourceFacts
from tests.unit.heads.families.exports import Export


def facts_of(model: ModelProto, tmp_path: Path) -> SourceFacts:
    place = Place(tmp_path, Settings(home=tmp_path))
    place.make()
    onnx.save(model, place.files / "model.onnx")
    found = inspect(InspectModel(names=("model.onnx",)), place)
    assert found.source is not None
    assert found.as_facts()["recognised"] == (
        found.source.recognised.model_dump(mode="json") if found.source.recognised else None
    )
    return found.source


def test_a_recognised_network_says_its_family_its_classes_and_what_it_takes(tmp_path: Path) -> None:
    """The form knew nothing of a YOLO, and asked for mean and scale as of any network."""
    recognised = facts_of(Export().model(), tmp_path).recognised
    assert recognised is not None
    assert (recognised.family, recognised.sure, recognised.classes) == ("yolov8", "certain", 3)
    assert recognised.names == ("thing 0", "thing 1", "thing 2")
    assert recognised.input == {"scale_values": [255.0], "encoding_from": "RGB", "encoding_to": "BGR"}


def test_an_input_of_gray_images_is_left_to_the_user(tmp_path: Path) -> None:
    model = Export().model()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    recognised = facts_of(model, tmp_path).recognised
    assert recognised is not None
    assert recognised.input == {}
