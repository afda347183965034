"""Rounded weights shift whole channels: MobileNetV2 said another class than its float model on one photo of five."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

from oakmill.graph import biases, equality
from oakmill.graph.quantize import Interval
from oakmill.graph.sensitivity import with_all_rounded
from tests.unit.graph.building import parse

NOTHING: dict[str, Interval] = {}
GEMM = "m = GlobalAveragePool(x) f = Flatten(m) y = Gemm"
KINDS = {
    "conv": ("y = Conv(x, w, b)", (6, 4, 3, 3), 6),
    "conv without a bias": ("y = Conv(x, w)", (6, 4, 3, 3), 0),
    "groups": ("y = Conv<group=2>(x, w, b)", (6, 2, 1, 1), 6),
    "depthwise": ("y = Conv<group=4>(x, w, b)", (4, 1, 3, 3), 4),
    "gemm": (f"{GEMM}<transB=1>(f, w, b)", (6, 4), 6),
    "gemm with factors": (f"{GEMM}<alpha=2.0, beta=3.0>(f, w, b)", (4, 6), 6),
}
"""A layer, the shape of its weights, and how many biases it has."""


def network(body: str, shape: tuple[int, ...], biased: int) -> ModelProto:
    model = parse(body, inputs="float[1,4,6,6] x", outputs="float y", opset=16)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    random = np.random.default_rng(4)
    model.graph.initializer.append(numpy_helper.from_array(random.normal(size=shape).astype(np.float32), "w"))
    if biased:
        model.graph.initializer.append(numpy_helper.from_array(random.normal(size=biased).astype(np.float32), "b"))
    return model


def pictures(count: int = 8) -> list[dict[str, np.ndarray]]:
    """Of no negative value, as behind Relu."""
    random = np.random.default_rng(5)
    return [{"x": random.uniform(0.5, 1.5, (1, 4, 6, 6)).astype(np.float32)} for _ in range(count)]


def mean_error(model: ModelProto, exact: ModelProto) -> float:
    """How far channels are shifted, on average over images and places."""
    session, wanted = equality.Session(with_all_rounded(model, NOTHING, {})), equality.Session(exact)
    errors = [session.run(item)["y"] - wanted.run(item)["y"] for item in pictures()]
    shifts = np.mean([np.moveaxis(item, 1, 0).reshape(item.shape[1], -1).mean(1) for item in errors], axis=0)
    return float(np.abs(shifts).max())


@pytest.mark.parametrize("kind", KINDS)
def test_what_rounding_shifts_is_taken_back(kind: str) -> None:
    model = network(*KINDS[kind])
    made, layers = biases.corrected(model, model, biases.means(model, pictures()))
    assert layers == 1
    before = mean_error(model, model)
    assert before > 1e-3
    assert mean_error(made, model) < before / 20


def test_learned_weights_are_held_against_those_that_they_came_from() -> None:
    exact, learned = network(*KINDS["conv"]), network(*KINDS["conv"])
    (weight,) = (item for item in learned.graph.initializer if item.name == "w")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + np.float32(0.01), "w"))
    made, _ = biases.corrected(learned, exact, biases.means(exact, pictures()))
    assert mean_error(made, exact) < mean_error(learned, exact) / 20


def test_weights_that_eight_bits_hold_leave_biases_alone() -> None:
    model = network(*KINDS["conv"])
    (weight,) = (item for item in model.graph.initializer if item.name == "w")
    steps = np.random.default_rng(4).integers(-127, 128, weight.dims).astype(np.float32)
    steps[:, 0, 0, 0] = 127
    weight.CopyFrom(numpy_helper.from_array(steps, "w"))
    assert biases.corrected(model, model, biases.means(model, pictures()))[1] == 0


def test_what_is_computed_has_no_such_bias() -> None:
    model = parse("y = Conv(x, v)", inputs="float[1,4,6,6] x, float[2,4,1,1] v", outputs="float[1,2,6,6] y", opset=16)
    assert biases.means(model, []) == {}
    assert biases.corrected(model, model, {})[1] == 0
