"""Graphs as YOLOv6's own repository exports them (deploy/ONNX): release 1, and 2 to 4 with and without bins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from oakmill.graph import equality
from oakmill.heads import families
from oakmill.heads.families.base import Evidence, Sure
from tests.unit.heads.families.graphs import SIDE, Builder, cells

CLASSES = 4
CLOSE = 1e-5
LITE = (8, 16, 32, 64)


def flat_cells(strides: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The middle of each cell of all grids, in cells [N, 2], and its stride [N, 1]."""
    middles = [cells(stride).reshape(-1, 2) + 0.5 for stride in strides]
    steps = [np.full((len(part), 1), stride, np.float32) for part, stride in zip(middles, strides, strict=True)]
    return np.concatenate(middles), np.concatenate(steps)


def later(bins: int, strides: tuple[int, ...] = (8, 16, 32), *, dynamic: bool = False) -> ModelProto:
    """Releases 2 to 4: on each grid the bins are summed up and the scores put through a Sigmoid; then all are joined,
    turned, and decoded to centre and size; a column of ones stands for the objectness. `dynamic`: an open batch, so
    that the ones are made when it runs."""
    made = Builder()
    scores: list[str] = []
    distances: list[str] = []
    for place, stride in enumerate(strides):
        count, name = (SIDE // stride) ** 2, f"grid{place}"
        made.convolution(place, f"{name}/cls", CLASSES)
        source = made.convolution(place, f"{name}/reg", 4 * bins)
        if bins > 1:
            shape = made.constant(f"{name}/binned", [-1, 4, bins, count], "int64")
            made.add("Reshape", [source, shape], f"{name}/by side")
            made.add("Transpose", [f"{name}/by side"], f"{name}/bins first", perm=[0, 2, 1, 3])
            made.add("Softmax", [f"{name}/bins first"], f"{name}/likely", axis=1)
            ramp = made.constant(f"{name}/proj", np.arange(bins).reshape(1, bins, 1, 1))
            source = made.add("Conv", [f"{name}/likely", ramp], f"{name}/summed")
        made.add("Sigmoid", [f"{name}/cls"], f"{name}/sigmoid")
        for words, tensor, channels in ((scores, f"{name}/sigmoid", CLASSES), (distances, source, 4)):
            flat = made.constant(f"{tensor}/flat shape", [-1, channels, count], "int64")
            words.append(made.add("Reshape", [tensor, flat], f"{tensor}/flat"))
    for words, name in ((scores, "scores"), (distances, "distances")):
        made.add("Concat", words, f"{name}/joined", axis=-1)
        made.add("Transpose", [f"{name}/joined"], name, perm=[0, 2, 1])
    middles, steps = flat_cells(strides)
    made.split("distances", [2, 2], ["lt", "rb"], -1)
    made.add("Sub", [made.constant("points", middles[None]), "lt"], "x1y1")
    made.add("Add", ["points", "rb"], "x2y2")
    made.add("Add", ["x1y1", "x2y2"], "both")
    made.add("Div", ["both", made.constant("two", 2.0)], "middle")
    made.add("Sub", ["x2y2", "x1y1"], "size")
    made.add("Concat", ["middle", "size"], "in cells", axis=-1)
    made.add("Mul", ["in cells", made.constant("steps", steps[None])], "boxes")
    if dynamic:
        made.add("Shape", ["boxes"], "shape of boxes")
        made.add("Gather", ["shape of boxes", made.constant("batch and rows", [0, 1], "int64")], "rows of ones")
        made.add("Concat", ["rows of ones", made.constant("one column", [1], "int64")], "shape of ones", axis=0)
        value = onnx.helper.make_tensor("one", onnx.TensorProto.FLOAT, [1], [1.0])
        ones = made.add("ConstantOfShape", ["shape of ones"], "ones", value=value)
    else:
        ones = made.constant("ones", np.ones((1, len(middles), 1)))
    made.add("Concat", ["boxes", ones, "scores"], "output", axis=-1)
    return made.model([1, len(middles), 5 + CLASSES])


def first(*, in_place: bool = False) -> ModelProto:
    """Release 1: each grid joins raw boxes with two Sigmoids, and is decoded in rows; `in_place`: columns are written
    into the tensor, which becomes ScatterND."""
    made, width = Builder(), 5 + CLASSES
    rows = []
    for place, stride in enumerate((8, 16, 32)):
        side, name = SIDE // stride, f"grid{place}"
        for word, channels in (("reg", 4), ("obj", 1), ("cls", CLASSES)):
            made.convolution(place, f"{name}/{word}", channels)
        for word in ("obj", "cls"):
            made.add("Sigmoid", [f"{name}/{word}"], f"{name}/{word}/sigmoid")
        pieces = [f"{name}/reg", f"{name}/obj/sigmoid", f"{name}/cls/sigmoid"]
        made.add("Concat", pieces, f"{name}/y", axis=1)
        shape = made.constant(f"{name}/shape", [1, 1, width, side, side], "int64")
        made.add("Reshape", [f"{name}/y", shape], f"{name}/five")
        made.add("Transpose", [f"{name}/five"], f"{name}/turned", perm=[0, 1, 3, 4, 2])
        bounds = [made.constant(f"{name}/{at}", [at], "int64") for at in (0, 2, 4, width)]
        last = made.constant(f"{name}/axis", [4], "int64")
        parts = [
            made.add("Slice", [f"{name}/turned", low, high, last], f"{name}/part{at}")
            for at, (low, high) in enumerate(pairwise(bounds))
        ]
        step = made.constant(f"{name}/step", float(stride))
        made.add("Add", [parts[0], made.constant(f"{name}/cells", cells(stride)[None, None])], f"{name}/placed")
        made.add("Mul", [f"{name}/placed", step], f"{name}/middle")
        made.add("Exp", [parts[1]], f"{name}/exp")
        made.add("Mul", [f"{name}/exp", step], f"{name}/size")
        if in_place:
            written = f"{name}/turned"
            for columns, values in ((0, f"{name}/middle"), (2, f"{name}/size")):
                grid = np.stack(
                    np.meshgrid([0], [0], range(side), range(side), [columns, columns + 1], indexing="ij"), -1
                )
                where = made.constant(f"{name}/where{columns}", grid, "int64")
                written = made.add("ScatterND", [written, where, values], f"{name}/written{columns}")
        else:
            written = made.add("Concat", [f"{name}/middle", f"{name}/size", parts[2]], f"{name}/joined", axis=4)
        flat = made.constant(f"{name}/flat", [1, -1, width], "int64")
        rows.append(made.add("Reshape", [written, flat], f"{name}/row"))
    made.add("Concat", rows, "output", axis=1)
    return made.model([1, sum((SIDE // stride) ** 2 for stride in (8, 16, 32)), width])


@pytest.mark.parametrize(
    ("model", "family", "ends"),
    [
        (later(1), "yolov8", "yolov6r2"),
        (later(17), "yolov8", "yolov6r2"),
        (later(17, dynamic=True), "yolov8", "yolov6r2"),
        (later(1, LITE), "yolov8", "yolov6r2"),
        (first(), "yolox", "yolov6"),
        (first(in_place=True), "yolox", "yolov6"),
    ],
    ids=["n and s", "m and l", "open batch", "lite", "release 1", "release 1 in place"],
)
def test_an_export_of_its_own_repository_ends_where_the_parser_reads(model: ModelProto, family: str, ends: str) -> None:
    """They were untested: only what Ultralytics writes of YOLOv6 was seen to be recognised."""
    found = families.recognise(model, Evidence({}, (SIDE, SIDE)))
    assert found is not None
    assert (found.family, found.sure, found.classes, found.problem()) == (family, Sure.CERTAIN, CLASSES, "")
    ended = found.cut(model, "rvc4")
    onnx.checker.check_model(ended)
    image = {"images": np.random.default_rng(1).random([1, 3, SIDE, SIDE], dtype=np.float32)}
    assert found.apart(equality.run(model, image), equality.run(ended, image)) < CLOSE
    assert all(value.name.endswith(ends) for value in ended.graph.output)
