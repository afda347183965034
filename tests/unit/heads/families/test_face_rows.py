"""Rows of anchored boxes become maps that DepthAI's YOLO parser reads: the same boxes, whatever their layout was."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from oakmill.conversion.passport.choose_tasks import tensors_of
from oakmill.graph import equality
from oakmill.heads import families
from oakmill.heads.families.base import Evidence, Sure
from oakmill.heads.families.face_rows import FaceRows
from oakmill.heads.recognise import Detections
from oakmill.heads.recognise import recognise as of_head

SIZE = (72, 96)
"""Height and width; no multiple of 32 or 64: the last grids reach beyond the image."""


class Rows:
    """Writes a network whose outputs are rows of numbers that depend on the image."""

    def __init__(self, *, old: bool = False) -> None:
        self._random = np.random.default_rng(3)
        self._nodes: list[NodeProto] = [helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0)]
        self._outputs: dict[str, Sequence[int | str]] = {}
        self._weights: dict[str, np.ndarray] = {}
        self._old = old

    def rows(self, name: str, rows: int, columns: int, *last: str, shown: str | None = None) -> Rows:
        """An output [1, rows, columns], made by these operators at last; `shown`: what it calls its open rows."""
        self._weights[f"{name}/values"] = self._random.normal(size=(1, rows, columns)).astype(np.float32)
        self._nodes.append(helper.make_node("Mul", [f"{name}/values", "mean"], [f"{name}/0"]))
        for place, kind in enumerate(last):
            node = helper.make_node(kind, [f"{name}/{place}"], [f"{name}/{place + 1}"])
            node.attribute.extend([helper.make_attribute("axis", 2)] if kind == "Softmax" else [])
            self._nodes.append(node)
        self._nodes.append(helper.make_node("Identity", [f"{name}/{len(last)}"], [name]))
        self._outputs[name] = ["batch" if shown else 1, shown or rows, columns]
        return self

    def model(self) -> ModelProto:
        """The network; `old`: it lists its constants among its inputs, as IR version 3 does."""
        inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *SIZE])]
        if self._old:
            self._weights["unread"] = np.zeros(1, np.float32)
            inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
                       for name, value in self._weights.items()]  # fmt: skip
        graph = helper.make_graph(
            self._nodes, "rows", inputs,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in self._outputs.items()],
            [numpy_helper.from_array(value, name) for name, value in self._weights.items()],
        )  # fmt: skip
        opsets = [helper.make_opsetid("", 11)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=3 if self._old else 8)


def count(anchors: dict[int, int]) -> int:
    return sum(each * -(-SIZE[0] // stride) * -(-SIZE[1] // stride) for stride, each in anchors.items())


FACES = count({8: 3, 16: 2, 32: 2, 64: 3})
PAIRS = count({8: 2, 16: 2, 32: 2})


def ultraface(*last: str, old: bool = False) -> ModelProto:
    return Rows(old=old).rows("boxes", FACES, 4, *last).rows("scores", FACES, 2, "Softmax").model()


def yunet(last: str = "Sigmoid", *, opened: bool = False) -> ModelProto:
    network = Rows()
    for word, columns, end in (("cls", 1, [last]), ("obj", 1, [last]), ("bbox", 4, []), ("kps", 10, [])):
        for stride in (8, 16, 32):
            network.rows(f"{word}_{stride}", count({stride: 1}), columns, *end, shown="dim" if opened else None)
    return network.model()


def retinaface() -> ModelProto:
    return Rows().rows("loc", PAIRS, 4).rows("conf", PAIRS, 2, "Softmax").rows("landms", PAIRS, 10).model()


@pytest.mark.parametrize(
    ("network", "family", "sure", "kept"),
    [
        (ultraface("Exp"), "ultraface", Sure.CERTAIN, 0),
        (ultraface("Exp", old=True), "ultraface", Sure.CERTAIN, 0),
        (yunet(), "yunet", Sure.CERTAIN, 3),
        (yunet(opened=True), "yunet", Sure.CERTAIN, 3),
        (retinaface(), "retinaface", Sure.LIKELY, 1),
    ],
)
def test_the_same_boxes_are_found_in_the_maps(network: ModelProto, family: str, sure: Sure, kept: int) -> None:
    """With `old`, constants that nothing read any more stayed as inputs without a value, and nothing could run it."""
    found = families.recognise(network, Evidence({}, SIZE))
    assert isinstance(found, FaceRows)
    assert (found.family, found.sure) == (family, sure)
    ended = found.cut(network, "rvc2")
    if network.ir_version > 3:  # which wants every constant among the inputs, and nobody else does
        checker.check_model(ended)
    image = {"image": np.random.default_rng(1).random((1, 3, *SIZE), dtype=np.float32)}
    before, after = equality.run(network, image), equality.run(ended, image)
    assert len(after) == len(found.ends) + kept
    assert found.apart(before, after) < 1e-5
    assert found.apart(before, {**after, found.ends[0]: after[found.ends[0]] + 1}) > 0.01
    (head,) = found.heads(found.names)
    assert head["metadata"]["strides"] == [item.stride for item in found.maps]
    assert sorted(found.ends) == list(found.ends)  # as depthai sorts them
    (task,) = (item for item in of_head(tensors_of(after), [head], SIZE) if not item.guessed)
    assert isinstance(task, Detections)
    boxes, wanted = task.decoder.decode(after), found.before(before)
    assert np.allclose(boxes.corners, wanted["corners"], atol=1e-5)
    assert np.allclose(boxes.scores, wanted["scores"][:, 0], atol=1e-5)


def of_yunet(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return row[:2] * 8, np.exp(row[2:]) * 8


def of_retinaface(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 4 + row[:2] * 0.1 * 16, 16 * np.exp(row[2:] * 0.2)


@pytest.mark.parametrize(
    ("network", "family", "decode"), [(yunet(), "yunet", of_yunet), (retinaface(), "retinaface", of_retinaface)]
)
def test_boxes_are_where_their_makers_decode_them(
    network: ModelProto, family: str, decode: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> None:
    """By hand: the first row of the first cell, in pixels."""
    found = families.recognise(network, Evidence({}, SIZE, family))
    assert isinstance(found, FaceRows)
    outputs = equality.run(network, {"image": np.full((1, 3, *SIZE), 0.5, np.float32)})
    middle, size = decode(outputs[found.maps[0].boxes][0, 0].astype(np.float64))
    corners = np.concatenate([middle - size / 2, middle + size / 2]) / np.tile(SIZE[::-1], 2)
    assert np.allclose(found.before(outputs)["corners"][0], corners)


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (ultraface(), SIZE),  # nothing decodes its boxes
        (ultraface("Exp"), (64, 96)),
        (yunet("Tanh"), SIZE),
        (retinaface(), (64, 64)),
    ],
)
def test_what_only_looks_alike_is_left_alone(network: ModelProto, size: tuple[int, int]) -> None:
    found = families.recognise(network, Evidence({}, size))
    assert not isinstance(found, FaceRows)
