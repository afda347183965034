from __future__ import annotations

import numpy as np
import onnx
import pytest
from luxonis_ml.nn_archive.config_building_blocks.base_models.head_metadata import HeadYOLOMetadata
from onnx import ModelProto

from oakmill.graph import equality
from oakmill.heads import families
from oakmill.heads.families.anchored_raw import USUAL
from oakmill.heads.families.base import Evidence, Sure
from tests.unit.heads.families.graphs import SIDE, STRIDES, Builder

CLASSES = 4
WIDTH = 5 + CLASSES
CLOSE = 1e-5


def export(*, pools: bool = False, leaky: bool = False, anchors: int = 3, sigmoid: bool = False) -> ModelProto:
    """As YOLO v7's export.py without `--grid`, and v5's with `--train`, leave their grids: numbers before the Sigmoid,
    of five dimensions; `pools` and `leaky` are what a body of v7, and of v7-tiny, has."""
    made, shapes = Builder(), {}
    for place, stride in enumerate(STRIDES):
        side, name = SIDE // stride, f"grid{place}"
        made.convolution(place, f"{name}/conv", anchors * WIDTH)
        shape = made.constant(f"{name}/shape", [1, anchors, WIDTH, side, side], "int64")
        made.add("Reshape", [f"{name}/conv", shape], f"{name}/five")
        turned = made.add("Transpose", ["/".join((name, "five"))], f"{name}/turned", perm=[0, 1, 3, 4, 2])
        last = made.add("Sigmoid", [turned], f"{name}/last") if sigmoid else turned
        shapes[last] = [1, anchors, side, side, WIDTH]
    if pools:
        made.add("MaxPool", ["images"], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    if leaky:
        made.add("LeakyRelu", ["images"], "leaky", alpha=0.1)
    return made.model(None, shapes)


def evidence(wanted: str = "") -> Evidence:
    return Evidence({}, (SIDE, SIDE), wanted)


@pytest.mark.parametrize(
    ("kwargs", "family"),
    [({}, "yolov5"), ({"pools": True}, "yolov7"), ({"pools": True, "leaky": True}, "yolov5")],
    ids=["v5", "v7", "v7-tiny"],
)
def test_grids_without_anchors_are_a_guess_by_the_usual_ones(kwargs: dict[str, bool], family: str) -> None:
    """YOLO v7 exported without --grid kept its outputs without a word: its anchors are in no such file."""
    found = families.recognise(export(**kwargs), evidence())
    assert found is not None
    assert (found.family, found.sure, found.classes) == (family, Sure.GUESS, CLASSES)
    assert "the usual ones are taken" in found.seen


@pytest.mark.parametrize("wanted", ["yolov5", "yolov7"])
def test_the_users_word_decides_whose_anchors_are_taken(wanted: str) -> None:
    model = export(pools=True)
    found = families.recognise(model, evidence(wanted))
    assert found is not None
    ended = found.cut(model, "rvc2")
    onnx.checker.check_model(ended)
    image = {"images": np.random.default_rng(1).random([1, 3, SIDE, SIDE], dtype=np.float32)}
    before, after = equality.run(model, image), equality.run(ended, image)
    assert found.apart(before, after) < CLOSE
    assert [value.name for value in ended.graph.output] == [f"output{place}_{wanted}" for place in (1, 2, 3)]
    (head,) = found.heads(("a", "b", "c", "d"))
    assert head["metadata"]["anchors"] == [[[*pair] for pair in grid] for grid in USUAL[wanted, 3]]
    HeadYOLOMetadata.model_validate(head["metadata"])
    assert {"corners", "scores"} <= set(found.before(before))


@pytest.mark.parametrize("kwargs", [{"anchors": 2}, {"sigmoid": True}], ids=["two anchors", "a Sigmoid already"])
def test_other_grids_are_nothing_of_theirs(kwargs: dict[str, bool]) -> None:
    assert families.recognise(export(**kwargs), evidence()) is None
