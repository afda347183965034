"""Which tensors go into SiLU: as exports write it, and as equalized channels have it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from oakmill.graph.silu import keep_apart, silu_inputs
from oakmill.graph.skeleton import infer_shapes


def model(*nodes: NodeProto) -> ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    scales = [numpy_helper.from_array(np.ones((1, 4), np.float32), "scale")]
    return helper.make_model(helper.make_graph(list(nodes), "silu", values[:1], values[1:], scales))


def test_either_side_of_the_product_may_be_the_gate() -> None:
    sigmoid = helper.make_node("Sigmoid", ["x"], ["gate"])
    for inputs in (["x", "gate"], ["gate", "x"]):
        assert silu_inputs(model(sigmoid, helper.make_node("Mul", inputs, ["y"]))) == ("x",)


def test_a_gate_that_is_given_back_its_scale_is_one() -> None:
    scaled = helper.make_node("Mul", ["x", "scale"], ["scaled"])
    sigmoid = helper.make_node("Sigmoid", ["scaled"], ["gate"])
    assert silu_inputs(model(scaled, sigmoid, helper.make_node("Mul", ["x", "gate"], ["y"]))) == ("x",)


def test_another_gate_is_none() -> None:
    """A squeeze-and-excitation block multiplies by a sigmoid of something else."""
    other = helper.make_node("Relu", ["x"], ["other"])
    sigmoid = helper.make_node("Sigmoid", ["other"], ["gate"])
    assert silu_inputs(model(other, sigmoid, helper.make_node("Mul", ["x", "gate"], ["y"]))) == ()
    assert silu_inputs(model(helper.make_node("Sigmoid", ["x"], ["y"]))) == ()


def of_height(height: int) -> ModelProto:
    """SiLU on a map of so many rows."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, height, 16]) for name in ("image", "y")]
    nodes = [
        helper.make_node("Neg", ["image"], ["x"]),
        helper.make_node("Sigmoid", ["x"], ["gate"]),
        helper.make_node("Mul", ["x", "gate"], ["y"]),
    ]
    return infer_shapes(helper.make_model(helper.make_graph(nodes, "silu", values[:1], values[1:])))


def computed(found: ModelProto, image: Any) -> Any:
    """What a model makes of an image."""
    (result,) = ReferenceEvaluator(found).run(None, {"image": image})
    return result


@pytest.mark.parametrize(
    ("height", "bits", "is_kept"), [(12, 16, True), (9, 16, True), (13, 16, False), (12, 8, False)]
)
def test_what_the_compiler_misreads_gets_a_factor_that_changes_nothing(height: int, bits: int, is_kept: bool) -> None:
    found = of_height(height)
    before = found.SerializeToString()
    assert keep_apart(found, lambda _: bits > 8) == ({"x/apart": "x"} if is_kept else {})
    assert (found.SerializeToString() != before) is is_kept
    image = np.linspace(-12, 12, 64 * height, dtype=np.float32).reshape(1, 4, height, 16)
    own = computed(onnx.load_from_string(before), image)
    made = computed(found, image)
    np.testing.assert_allclose(made, own, rtol=3e-6)
    assert silu_inputs(found) == ("x",)
