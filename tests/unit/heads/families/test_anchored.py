from __future__ import annotations

import numpy as np
import onnx
import pytest
from luxonis_ml.nn_archive.config_building_blocks.base_models.head_metadata import HeadYOLOMetadata
from onnx import ModelProto

from oakmill.graph import equality
from oakmill.heads.families import anchored
from oakmill.heads.families.base import NOTHING, Evidence
from tests.unit.heads.families.graphs import SIDE, STRIDES, Builder, cells

ANCHORS = [[[10, 13], [16, 30], [33, 23]], [[30, 61], [62, 45], [59, 119]], [[116, 90], [156, 198], [373, 326]]]
CLASSES = 4
CLOSE = 1e-5


def export(form: str, anchors: object = ANCHORS, *, spread: bool = False, raw: bool = False) -> ModelProto:
    """As the repositories of YOLO v5 and v7 export; `spread`: anchors made of each cell when it runs; `raw`: the grids
    are outputs besides, as of v5's first years."""
    made, width = Builder(), 5 + CLASSES
    rows, more = [], {}
    for place, stride in enumerate(STRIDES):
        side, name = SIDE // stride, f"grid{place}"
        made.convolution(place, f"{name}/conv", 3 * width)
        shape = made.constant(f"{name}/shape", [1, 3, width, side, side], "int64")
        made.add("Reshape", [f"{name}/conv", shape], f"{name}/five")
        made.add("Transpose", [f"{name}/five"], f"{name}/turned", perm=[0, 1, 3, 4, 2])
        more[f"{name}/turned"] = [1, 3, side, side, width]
        made.add("Sigmoid", [f"{name}/turned"], f"{name}/sigmoid")
        parts = [f"{name}/{word}" for word in ("xy", "wh", "rest")]
        made.split(f"{name}/sigmoid", [2, 2, 1 + CLASSES], parts, 4)
        pairs = np.array(anchors, np.float32)[place].reshape(1, 3, 1, 1, 2)
        factor, doubled = (4.0, False) if form == "v7" else (1.0, True)
        constant = made.constant(f"{name}/anchors", pairs * factor)
        if spread:
            size = made.constant(f"{name}/size", [1, 3, side, side, 2], "int64")
            constant = made.add("Expand", [constant, size], f"{name}/spread")
        made.add("Mul", [parts[0], made.constant(f"{name}/two", 2.0)], f"{name}/twice")
        made.add("Add", [f"{name}/twice", made.constant(f"{name}/cells", cells(stride) - 0.5)], f"{name}/placed")
        made.add("Mul", [f"{name}/placed", made.constant(f"{name}/stride", float(stride))], f"{name}/middle")
        base = made.add("Mul", [parts[1], f"{name}/two"], f"{name}/double") if doubled else parts[1]
        square = made.add("Pow", [base, made.constant(f"{name}/square", 2.0)], f"{name}/squared")
        made.add("Mul", [square, constant], f"{name}/size in pixels")
        joined = made.add("Concat", [f"{name}/middle", f"{name}/size in pixels", parts[2]], f"{name}/joined", axis=4)
        rows.append(
            made.add("Reshape", [joined, made.constant(f"{name}/flat", [1, -1, width], "int64")], f"{name}/row")
        )
    made.add("Concat", rows, "output", axis=1)
    return made.model([1, 3 * sum((SIDE // stride) ** 2 for stride in STRIDES), width], more if raw else None)


@pytest.mark.parametrize("raw", [False, True], ids=["rows alone", "grids besides"])
@pytest.mark.parametrize("spread", [False, True], ids=["anchors", "anchors of each cell"])
@pytest.mark.parametrize(("form", "subtype"), [("v5", "yolov5"), ("v7", "yolov7")])
def test_a_detector_with_anchors_ends_where_the_parser_reads(form: str, subtype: str, spread: bool, raw: bool) -> None:
    """Exports of the repositories of YOLO v5 and v7 kept their rows of boxes, which no parser reads."""
    model = export(form, spread=spread, raw=raw)
    found = anchored.find(model, Evidence({}, (SIDE, SIDE)))
    assert found is not None
    ended = found.cut(model, "rvc2")
    onnx.checker.check_model(ended)
    image = {"images": np.random.default_rng(1).random([1, 3, SIDE, SIDE], dtype=np.float32)}
    assert found.apart(equality.run(model, image), equality.run(ended, image)) < CLOSE
    assert [value.name for value in ended.graph.output] == [f"output{place}_{subtype}" for place in (1, 2, 3)]
    (head,) = found.heads(("a", "b", "c", "d"))
    assert (head["metadata"]["anchors"], head["metadata"]["subtype"]) == (ANCHORS, subtype)
    HeadYOLOMetadata.model_validate(head["metadata"])


def test_anchors_that_differ_from_cell_to_cell_are_none() -> None:
    model = export("v5")
    for tensor in model.graph.initializer:
        if tensor.name.endswith("/anchors"):
            values = np.random.default_rng(0).random([1, 3, 8, 8, 2], dtype=np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    assert anchored.find(model, NOTHING) is None


def test_channels_that_do_not_fit_the_rows_are_none() -> None:
    model = export("v5")
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = 8
    assert anchored.find(model, NOTHING) is None
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_param = "columns"
    assert anchored.find(model, NOTHING) is None
