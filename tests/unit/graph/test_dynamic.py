"""Models as onnxruntime quantizes them for processors, with ranges found anew for each image, become float models.

ddddocr's reader of captchas is one: RVC2's compiler was handed ConvInteger, and the proof compared roundings.
"""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.graph import equality
from oakmill.graph.dynamic import without_dynamic_quantization
from tests.unit.graph.building import ops, parse

_RANDOM = np.random.default_rng(2)
WEIGHTS = _RANDOM.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
STEPS = _RANDOM.uniform(0.001, 0.002, (4, 1, 1)).astype("f")
BIAS = _RANDOM.normal(0, 0.2, (1, 4, 1, 1)).astype("f")
IMAGE = _RANDOM.uniform(-1, 1, (1, 3, 8, 8)).astype("f")


def convolution() -> ModelProto:
    """A convolution as `quantize_dynamic` writes it: its bias is rounded to integers to be added to integers."""
    model = parse(
        """
        q, s, z = DynamicQuantizeLinear(x)
        step = Mul(s, ws)
        parts = Div(b, step)
        whole = Floor(parts)
        bq = Cast<to = 6>(whole)
        c = ConvInteger<pads = [1, 1, 1, 1]>(q, w, z, wz)
        sum = Add(c, bq)
        f = Cast<to = 1>(sum)
        y = Mul(f, step)
        """,
        inputs="float[1,3,8,8] x",
    )
    stored = {"w": WEIGHTS, "ws": STEPS, "wz": np.array(0, np.int8), "b": BIAS}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in stored.items())
    return model


def test_nothing_but_rounding_is_lost() -> None:
    model = convolution()
    bare = without_dynamic_quantization(model)
    assert "Conv" in ops(bare)
    assert not {"ConvInteger", "DynamicQuantizeLinear", "Floor"} & set(ops(bare))
    (wanted,) = equality.run(model, {"x": IMAGE}).values()
    (found,) = equality.run(bare, {"x": IMAGE}).values()
    assert equality.snr_db(wanted, found) > 30
    plain = parse("y = Conv<pads = [1, 1, 1, 1]>(x, w, b)", inputs="float[1,3,8,8] x")
    constants = {"w": WEIGHTS * STEPS.reshape(4, 1, 1, 1), "b": BIAS.ravel()}
    plain.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    (exact,) = equality.run(plain, {"x": IMAGE}).values()
    np.testing.assert_allclose(found, exact, atol=1e-4)


def test_an_lstm_of_onnxruntimes_own_becomes_onnxs() -> None:
    inputs, units = 5, 3
    values = {
        "w": _RANDOM.integers(0, 256, (2, inputs, 4 * units)).astype(np.uint8),
        "r": _RANDOM.integers(0, 256, (2, units, 4 * units)).astype(np.uint8),
        "ws": np.array([0.004, 0.003], "f"),
        "wz": np.array([120, 130], np.uint8),
        "rs": np.array([0.002, 0.005], "f"),
        "rz": np.array([128, 125], np.uint8),
        "b": _RANDOM.normal(0, 0.1, (2, 8 * units)).astype("f"),
    }
    node = helper.make_node(
        "DynamicQuantizeLSTM",
        ["x", "w", "r", "b", "", "", "", "", "ws", "wz", "rs", "rz"],
        ["y"],
        "lstm",
        domain="com.microsoft",
        hidden_size=units,
        direction="bidirectional",
    )
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [7, 1, inputs]), ("y", [7, 2, 1, units]))
    ]
    graph = helper.make_graph(
        [node], "g", ends[:1], ends[1:], [numpy_helper.from_array(v, k) for k, v in values.items()]
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    bare = without_dynamic_quantization(model)
    assert [(item.op_type, item.domain) for item in bare.graph.node] == [("LSTM", "")]
    feeds = {"x": _RANDOM.normal(0, 1, (7, 1, inputs)).astype("f")}
    assert equality.snr_db(equality.run(model, feeds)["y"], equality.run(bare, feeds)["y"]) > 30


@pytest.mark.parametrize("reader", ["y = Cast<to = 1>(q)", "y = Cast<to = 1>(z)"])
def test_integers_that_something_else_reads_stay(reader: str) -> None:
    model = parse(f"q, s, z = DynamicQuantizeLinear(x)\n{reader}", inputs="float[1,3,8,8] x")
    assert without_dynamic_quantization(model) is model
