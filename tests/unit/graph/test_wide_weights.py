"""Of 16-bit weights the processor reads none above 0x7F7F; depthwise and dilated Convs are right with 8 bits."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.graph.quantize import Plan, quantize
from oakmill.graph.wide_weights import TOP, scales


def network() -> ModelProto:
    """A depthwise Conv, a dilated one, a plain one and a Gemm; each weight is largest where it is positive."""
    random = np.random.default_rng(0)
    shapes = {"own": (4, 1, 3, 3), "apart": (4, 4, 3, 3), "across": (6, 4, 1, 1), "dense": (6, 5)}
    weights = {name: random.uniform(-1, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    for item in weights.values():
        item.reshape(len(item), -1)[:, 0] = np.arange(2, len(item) + 2)
    weights["across"][5] = 0
    nodes = [
        helper.make_node("Conv", ["image", "own"], ["a"], group=4, pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "apart"], ["e"], dilations=[2, 2], pads=[2, 2, 2, 2]),
        helper.make_node("Conv", ["e", "across"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "dense"], ["y"]),
    ]
    shape = {"image": [1, 4, 8, 8], "y": [1, 5]}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name, sides in shape.items()]
    constants = [numpy_helper.from_array(given, name) for name, given in weights.items()]
    graph = helper.make_graph(nodes, "three", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_each_weight_has_the_format_that_is_computed_as_it_is_written() -> None:
    found = {name: (bits, len(given), axis) for name, bits, given, axis in scales(network(), per_channel=True)}
    assert found == {"own": (8, 4, 0), "apart": (8, 4, 0), "across": (16, 6, 0), "dense": (16, 1, None)}
    whole = {name: (bits, len(given), axis) for name, bits, given, axis in scales(network(), per_channel=False)}
    assert whole == dict.fromkeys(("own", "apart", "across", "dense"), (16, 1, None))


@pytest.mark.parametrize("per_channel", [True, False])
def test_no_16_bit_weight_is_above_what_is_read(per_channel: bool) -> None:
    """INT16_STANDARD of both YOLOX was refused, 18 dB where 36 were simulated: the largest weights, 0x7FFF, lost one
    part in 256."""
    ranges = {"image": (0.0, 1.0), **dict.fromkeys("aebcdy", (-4.0, 90.0))}
    written = quantize(network(), ranges, Plan(16, 16, per_channel), [])
    stored = {item.name: numpy_helper.to_array(item) for item in written.graph.initializer}
    wide = {name: values for name, values in stored.items() if values.dtype == np.int16 and values.ndim > 1}
    assert set(wide) == {
        f"{name}_quantized" for name in ("across", "dense", *(() if per_channel else ("own", "apart")))
    }
    assert all(values.max() == TOP for values in wide.values())
    assert (stored["own_quantized"].dtype == np.int8) is per_channel
