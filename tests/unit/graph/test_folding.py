"""Constants are folded by onnxruntime where the simplifier fails, and nothing else of the graph changes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from oakmill.graph import equality, folding
from oakmill.graph.folding import constants_as_initializers, fold_constants
from oakmill.graph.skeleton import copy_of, infer_shapes
from tests.unit.graph.building import Array, feeds, ops, parse

MADE_OF_SHAPES = """
    s = Shape(x) w = Gather(s, three) d = Sub(nine, w) one = Unsqueeze(d, first)
    p = Concat<axis=0>(none, none, one, one, none, none, one, none) y = Pad(x, p)
"""
CONSTANTS = "int64 three = {3}, int64 nine = {9}, int64[1] first = {0}, int64[1] none = {0}"


def values(model: onnx.ModelProto) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_pads_made_of_a_shape_are_numbers() -> None:
    """As torch writes its asymmetric padding: a simplifier that folds it wrongly left nothing that converts."""
    model = infer_shapes(parse(MADE_OF_SHAPES, constants=CONSTANTS))
    before = copy_of(model)
    folded = fold_constants(model)
    assert ops(folded) == ["Pad"]
    assert {name: array.tolist() for name, array in values(folded).items()} == {"p": [0, 0, 4, 4, 0, 0, 4, 0]}
    equality.require_equal(equality.run(model, feeds(model)), equality.run(folded, feeds(model)))
    assert model == before


def test_what_depends_on_an_input_stays_node_for_node() -> None:
    model = parse("a = Identity(x) b = Relu(a) h = Mul(k, k) y = Mul(b, h)", constants="float[1] k = {3}")
    folded = fold_constants(model)
    assert ops(folded) == ["Identity", "Relu", "Mul"]
    assert values(folded)["h"].tolist() == [9]
    assert [node.output[0] for node in folded.graph.node] == ["a", "b", "y"]


@pytest.mark.parametrize(
    "body",
    [
        "r = RandomNormal<shape=[2,8,6,5]>() y = Add(x, r)",
        "q = QuantizeLinear(k, s) d = DequantizeLinear(q, s) y = Mul(x, d)",
        "e = Expand(k, n) y = Add(x, e)",
    ],
)
def test_what_is_drawn_or_quantized_or_would_fill_the_file_stays(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "_LARGEST", 100)
    model = infer_shapes(parse(body, constants="float[1] k = {3}, float s = {0.1}, int64[4] n = {2, 8, 6, 5}"))
    assert ops(fold_constants(model)) == ops(model)


def test_a_constant_output_keeps_its_node() -> None:
    model = parse("k = Constant<value_floats=[1, 2]>() y = Relu(x)", outputs="float[2] k, float[2,8,6,5] y")
    assert ops(fold_constants(model)) == ["Constant", "Relu"]


@pytest.mark.parametrize(("constant", "wanted"), [("value_ints=[1, 2]", [1, 2]), ("value_float=0.5", 0.5)])
def test_constants_become_initializers_of_their_name(constant: str, wanted: object) -> None:
    """RVC4's quantizer looks for parameters there: "not specified for param _v_187" was a Constant."""
    model = parse(f"k = Constant<{constant}>() c = Cast<to=1>(k) m = ReduceSum(c) y = Mul(x, m)")
    plain = constants_as_initializers(model)
    assert ops(plain) == ["Cast", "ReduceSum", "Mul"]
    assert values(plain)["k"].tolist() == wanted
    equality.require_equal(equality.run(model, feeds(model)), equality.run(plain, feeds(model)))


def test_a_branch_reads_what_was_folded() -> None:
    body = """
        h = Mul(k, k) m = ReduceMax<keepdims=0>(x) c = Greater(m, z)
        y = If<then_branch = t () => (float[?,?,?,?] a) { a = Mul(x, h) }, else_branch = e () => (float[?,?,?,?] b)
        { b = Add(x, h) }>(c)
    """
    model = parse(body, constants="float[1] k = {3}, float z = {0}")
    folded = fold_constants(model)
    assert ops(folded) == ["ReduceMax", "Greater", "If"]
    data = feeds(model)
    equality.require_equal(equality.run(model, data), equality.run(folded, data))
    assert np.isfinite(equality.run(folded, data)["y"]).all()
