"""Keypoints, masks and angles of the vendor's own parser are held against the float model's, in depthai itself.

Only boxes and classes were compared: an archive whose keypoints came in another order, or whose masks were of another
box, had a passport that said that all was right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import depthai
import numpy as np
import pytest
from onnx import ModelProto, numpy_helper
from PIL import Image

from oakmill.conversion.camera_app import CameraApp
from oakmill.conversion.passport import HeldOut, Passport
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.sources.camera_heads import Original
from oakmill.findings import Severity
from oakmill.graph import equality
from oakmill.heads import families, yunet
from oakmill.heads.families.base import Evidence, Found
from oakmill.settings import current
from tests.unit.heads.families.exports import Export
from tests.unit.heads.families.test_face_rows import Rows
from tests.unit.heads.families.test_vendors_nodes import pack

SIDE = 64
IMAGE = SimpleNamespace(is_image=True, layout="NCHW", shape=(1, 3, SIDE, SIDE), name="images")
Changed = Callable[[dict[str, Any]], Mapping[str, Any]]


def surer(model: ModelProto) -> ModelProto:
    """The network with scores further from a half: there are boxes to speak of."""
    for tensor in model.graph.initializer:
        if "logits" in tensor.name and tensor.name.endswith("/weight"):
            tensor.CopyFrom(numpy_helper.from_array(4 * numpy_helper.to_array(tensor), tensor.name))
    return model


def smooth(random: np.random.Generator) -> Any:
    """An image [1, 3, SIDE, SIDE] without edges: masks of noise are all edge."""
    small = random.normal(size=(3, 4, 4)).astype(np.float32)
    planes = [Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for plane in small]
    return np.stack([np.asarray(plane) for plane in planes])[None]


def as_they_are(outputs: dict[str, Any]) -> Mapping[str, Any]:
    return outputs


def told(folder: Path, task: str, changed: Changed = as_they_are, **form: Any) -> Passport:
    """What a passport says of a small network of a task; `changed` is what becomes of the finished file's outputs."""
    return of_network(surer(Export(task=task, side=SIDE, **form).model()), folder, changed)


def of_network(whole: ModelProto, folder: Path, changed: Changed = as_they_are) -> Passport:
    """What it says of any network of one image of SIDE x SIDE."""
    found = families.recognise(
        whole, Evidence({entry.key: entry.value for entry in whole.metadata_props}, (SIDE, SIDE))
    )
    assert found is not None
    ended, (head,) = found.cut(whole, "rvc4"), found.heads(found.names)
    archive = pack(folder / "m.tar.xz", head)
    prepared = SimpleNamespace(heads=(head,), names={}, boundary=(IMAGE,), feeds=lambda raw: raw)
    app = CameraApp(archive, cast(Prepared, prepared), frozenset(), folder / "app", current(), original(whole, found))
    random, session = np.random.default_rng(0), equality.Session(ended)
    with app:
        for place in range(2):
            raw = {whole.graph.input[0].name: smooth(random)}
            outputs = session.run(raw)
            app.add(f"image {place}", raw, outputs, changed({**outputs}))
        return app.told(Passport("rvc4", HeldOut("images")))


def original(whole: ModelProto, found: Found) -> Original:
    return Original(whole, found.before)


@pytest.mark.parametrize(("task", "kind"), [("pose", "keypoints"), ("segment", "masks"), ("obb", "angles")])
def test_what_an_app_gets_besides_boxes_is_what_the_float_model_says(tmp_path: Path, task: str, kind: str) -> None:
    passport = told(tmp_path, task)
    (row,) = passport.parsers
    (values,) = row.values
    assert (values.kind, values.held) == (kind, values.compared)
    assert values.compared >= 10
    assert values.right == values.compared
    assert passport.findings == ()
    assert f"; {values.right} of {values.compared} {kind}" in row.words


def other_way_round(outputs: dict[str, Any]) -> Mapping[str, Any]:
    """The four keypoints in the opposite order: an app would take a left shoulder for a right hip."""
    for name, values in outputs.items():
        if name.startswith("kpt"):
            outputs[name] = values.reshape(1, 4, 3, -1)[:, ::-1].reshape(values.shape)
    return outputs


def test_keypoints_in_another_order_are_found(tmp_path: Path) -> None:
    passport = told(tmp_path, "pose", other_way_round)
    (finding,) = passport.findings
    assert (finding.code, finding.severity) == ("parser_values", Severity.WARNING)
    assert finding.title == "The file's keypoints are apart"
    assert passport.parsers[0].share == 1
    assert passport.parsers[0].values[0].share < 0.5


def between_cells(outputs: dict[str, Any]) -> Mapping[str, Any]:
    """One box beside its own cell's centre, from 20.8 to 21.6 pixels: within a cell of the prototypes, 20 to 24."""
    map_of_boxes = np.zeros_like(outputs["output1_yolov8"])
    map_of_boxes[0, :6, 2, 2] = [-0.1, -0.1, 0.2, 0.2, 0.9, 0.9]
    return {**outputs, "output1_yolov8": map_of_boxes}


def test_an_image_on_which_the_parser_ends_its_process_is_named(tmp_path: Path) -> None:
    """depthai aborts on a box within one cell of its masks: the row was lost, and only "Aborted" was told."""
    images = iter([between_cells, as_they_are])

    def first_alone(outputs: dict[str, Any]) -> Mapping[str, Any]:
        return next(images)(outputs)

    passport = told(tmp_path, "segment", first_alone)
    (finding,) = passport.findings
    assert (finding.code, finding.severity) == ("parser_crashes", Severity.ERROR)
    assert "of image 0: a box lies within one row or column" in finding.message
    assert passport.parsers[0].images == 1
    assert passport.parsers[0].share == 1


def test_why_it_ends_on_all_images_is_told(tmp_path: Path) -> None:
    """Only "Aborted" was told where no image was left to be compared."""
    (finding,) = told(tmp_path, "segment", between_cells).findings
    assert finding.code == "parser_crashes"
    assert "a box lies within one row or column" in finding.message


def test_faces_of_yunet_are_what_its_own_parser_finds(tmp_path: Path) -> None:
    """YuNet of 2022 kept its outputs without a head, though DepthAI has a parser of them."""
    made, count = Rows(), len(yunet.anchors((SIDE, SIDE)))
    network = made.rows("boxes", count, 14).rows("two", count, 2, "Softmax").rows("over", count, 1, "Sigmoid").model()
    for side, length in enumerate((SIDE, SIDE), 2):
        network.graph.input[0].type.tensor_type.shape.dim[side].dim_value = length
    passport = of_network(network, tmp_path)
    (row,) = passport.parsers
    assert row.node == f"depthai {depthai.__version__}'s YuNetParser"
    assert row.boxes >= 10
    # its parser leaves doubles out before it cuts them off, and most anchors reach beyond 64 pixels
    assert row.share > 0.95
    assert row.named == 1
    assert passport.findings == ()
