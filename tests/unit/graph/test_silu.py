"""Which tensors go into SiLU: as exports write it, and as equalized channels have it."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.graph.silu import silu_inputs


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
