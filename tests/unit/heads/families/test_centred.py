from __future__ import annotations

import numpy as np
import onnx
import pytest
from luxonis_ml.nn_archive.config_building_blocks.base_models.head_metadata import HeadYOLOMetadata
from onnx import ModelProto

from oakmill.graph import equality
from oakmill.heads.families import centred
from oakmill.heads.families.base import NOTHING, Evidence
from tests.unit.heads.families.graphs import SIDE, STRIDES, Builder, cells

CLASSES = 4
CLOSE = 1e-5


def export(*, decoded: bool, shaped: bool = False) -> ModelProto:
    """As YOLOX exports, its boxes raw or decoded; `shaped`: as tf2onnx writes its TFLite export, whose objectness has
    its one channel last and is shaped anew where others are turned."""
    made, width, flat = Builder(), 5 + CLASSES, []
    for place in range(len(STRIDES)):
        made.convolution(place, f"boxes{place}", 4)
        for word, channels in (("objectness", 1), ("scores", CLASSES)):
            made.add("Sigmoid", [made.convolution(place, f"{word}{place}", channels)], f"{word}{place}/sigmoid")
        parts = [f"boxes{place}", f"objectness{place}/sigmoid", f"scores{place}/sigmoid"]
        if shaped:
            size = made.constant(f"one{place}", [1, 1, SIDE // STRIDES[place], SIDE // STRIDES[place]], "int64")
            parts[1] = made.add("Reshape", [parts[1], size], f"objectness{place}/shaped")
        joined = made.add("Concat", parts, f"grid{place}", axis=1)
        flat.append(
            made.add("Reshape", [joined, made.constant(f"flat{place}", [1, width, -1], "int64")], f"row{place}")
        )
    made.add("Transpose", [made.add("Concat", flat, "all", axis=2)], "rows" if decoded else "output", perm=[0, 2, 1])
    count = sum((SIDE // stride) ** 2 for stride in STRIDES)
    if decoded:
        places = np.concatenate([cells(stride).reshape(-1, 2) for stride in STRIDES])[None]
        steps = np.concatenate([np.full((SIDE // stride) ** 2, stride) for stride in STRIDES])[None, :, None]
        made.split("rows", [2, 2, 1 + CLASSES], ["xy", "wh", "rest"], 2)
        made.add("Add", ["xy", made.constant("places", places)], "placed")
        made.add("Mul", ["placed", made.constant("steps", steps)], "middle")
        made.add("Mul", [made.add("Exp", ["wh"], "size in cells"), "steps"], "size")
        made.add("Concat", ["middle", "size", "rest"], "output", axis=2)
    return made.model([1, count, width])


@pytest.mark.parametrize("shaped", [False, True], ids=["ONNX", "TFLite"])
@pytest.mark.parametrize("decoded", [False, True])
def test_yolox_ends_where_the_parser_reads_with_the_scores_it_scores_by(decoded: bool, shaped: bool) -> None:
    """depthai takes the class's score for a box's: 0.9 of what YOLOX itself scores by 0.8 of objectness, 0.72."""
    model = export(decoded=decoded, shaped=shaped)
    found = centred.find(model, Evidence({}, (SIDE, SIDE)))
    assert found is not None
    ended = found.cut(model, "rvc2")
    onnx.checker.check_model(ended)
    image = {"images": np.random.default_rng(1).random([1, 3, SIDE, SIDE], dtype=np.float32)}
    before, after = equality.run(model, image), equality.run(ended, image)
    assert found.apart(before, after) < CLOSE
    rows = before["output"][0, : (SIDE // 8) ** 2]
    scores = after["output1_yolov6"][0, 5:].reshape(CLASSES, -1).T
    assert np.allclose(scores, rows[:, 4:5] * rows[:, 5:], atol=1e-6)
    (head,) = found.heads(("a", "b", "c", "d"))
    assert (head["metadata"]["subtype"], head["metadata"]["n_classes"]) == ("yolov6", CLASSES)
    HeadYOLOMetadata.model_validate(head["metadata"])


def test_an_objectness_of_two_channels_is_none() -> None:
    model = export(decoded=False)
    for tensor in model.graph.initializer:
        if tensor.name.startswith("objectness"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones([2, 8, 1, 1], np.float32), tensor.name))
    assert centred.find(model, NOTHING) is None
