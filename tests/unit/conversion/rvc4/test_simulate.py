from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from oakmill.conversion.rvc4.simulate import Simulated
from oakmill.graph import boundary


def quantized(kind: type[np.generic]) -> Simulated:
    """pixels -> half of them, stored in steps of 0.5 around 10; and their places as integers."""
    constants = [
        numpy_helper.from_array(np.array(value), name)
        for name, value in (
            ("one", np.float32(1)), ("nothing", np.uint8(0)), ("half", np.float32(0.5)), ("ten", kind(10)),
        )
    ]  # fmt: skip
    nodes = [
        helper.make_node("DequantizeLinear", ["pixels", "one", "nothing"], ["real"]),
        helper.make_node("Mul", ["real", "half"], ["less"]),
        helper.make_node("QuantizeLinear", ["less", "half", "ten"], ["stored"]),
        helper.make_node("ArgMax", ["real"], ["best"], axis=1, keepdims=0),
    ]
    element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 4]),
         helper.make_tensor_value_info("state", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("stored", element, [1, 4]),
         helper.make_tensor_value_info("best", TensorProto.INT64, [1])],
        constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    assert boundary.encoding_of(model, "stored") == (0.5, 10)
    return Simulated(model, ["pixels"])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_pixels_go_in_as_bytes_and_outputs_come_as_real_numbers(kind: type[np.generic]) -> None:
    raw = {"pixels": np.array([[0, 1, 100, 9]], np.float32), "state": np.zeros(1, np.float32)}
    found = quantized(kind).run(raw)
    np.testing.assert_array_equal(found["stored"], np.array([[0, 0.5, 50, 4.5]], np.float32))
    assert found["stored"].dtype == np.float32


def test_what_is_not_quantized_comes_as_it_is() -> None:
    raw = {"pixels": np.array([[0, 1, 100, 9]], np.float32), "state": np.zeros(1, np.float32)}
    best = quantized(np.uint8).run(raw)["best"]
    assert (best.dtype.name, best.tolist()) == ("int64", [2])


def test_values_beyond_the_grid_are_cut_off() -> None:
    raw = {"pixels": np.array([[255, 250, 245, 0]], np.float32), "state": np.zeros(1, np.float32)}
    np.testing.assert_array_equal(quantized(np.uint8).run(raw)["stored"], [[122.5, 122.5, 122.5, 0]])
