from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.errors import UnsupportedOpset
from oakmill.graph import equality
from oakmill.graph.opset import lower_opset
from oakmill.graph.skeleton import opset_version

X = "float[2,8,6,5] x"
Y = "float[?,?,?,?] y"


def model(opset: int, body: str, *, x: str = X, y: str = Y, constants: str = "") -> ModelProto:
    between = f"<{constants}>" if constants else ""
    text = f'<ir_version: 8, opset_import: ["": {opset}]> g ({x}) => ({y}) {between} {{ {body} }}'
    return onnx.parser.parse_model(text)


CASES = {
    "Split into even parts": (18, "a, b = Split<axis=1, num_outputs=2>(x) y = Concat<axis=1>(b, a)", {}),
    "Split into uneven parts": (18, "a, b, c = Split<axis=1, num_outputs=3>(x) y = Concat<axis=1>(c, a, b)", {}),
    "Split by sizes": (18, "a, b = Split<axis=1>(x, s) y = Concat<axis=1>(b, a)", {"constants": "int64[2] s = {3, 5}"}),
    "LayerNormalization of the last axis": (
        17,
        "y = LayerNormalization(x, s, b)",
        {"constants": "float[5] s = {1, 2, 3, 4, 5}, float[5] b = {5, 4, 3, 2, 1}"},
    ),
    "LayerNormalization with all its outputs": (
        17,
        "n, m, d = LayerNormalization<axis=2, epsilon=0.5>(x, s) t = Mul(n, d) y = Add(t, m)",
        {"constants": "float[1,5] s = {1, 2, 3, 4, 5}"},
    ),
    "ReduceMean over an axis": (18, "y = ReduceMean(x, a)", {"constants": "int64[1] a = {1}"}),
    "ReduceMean over a Constant's axis": (18, "a = Constant<value_ints=[-1]>() y = ReduceMean(x, a)", {}),
    "ReduceMax over all": (18, "y = ReduceMax<keepdims=1>(x)", {}),
    "ReduceMax over none": (18, "y = ReduceMax<noop_with_empty_axes=1>(x)", {}),
    "ReduceL2": (18, "y = ReduceL2(x, a)", {"constants": "int64[2] a = {2, 3}"}),
    "ReduceSumSquare": (18, "y = ReduceSumSquare(x, a)", {"constants": "int64[2] a = {2, 3}"}),
    "Pad along two axes": (
        18,
        'y = Pad<mode="reflect">(x, p, "", a)',
        {"constants": "int64[4] p = {1, 2, 0, 1}, int64[2] a = {-1, 2}"},
    ),
    "Pad with a value": (19, "y = Pad(x, p, v)", {"constants": "int64[8] p = {0,0,1,1,0,0,2,0}, float v = {7}"}),
    "Resize along two axes by scales": (
        19,
        'y = Resize<mode="linear", axes=[2, 3]>(x, "", s)',
        {"constants": "float[2] s = {2, 2}"},
    ),
    "Resize along two axes to sizes": (
        18,
        'y = Resize<mode="nearest", axes=[3, 2], antialias=0>(x, "", "", s)',
        {"constants": "int64[2] s = {10, 3}"},
    ),
    "Gelu": (20, "y = Gelu(x)", {}),
    "Gelu by tanh": (20, 'y = Gelu<approximate="tanh">(x)', {}),
    "Mish": (18, "y = Mish(x)", {}),
    "HardSwish": (22, "y = HardSwish(x)", {}),
    "GroupNormalization": (
        21,
        "y = GroupNormalization<num_groups=4, epsilon=0.1>(x, s, b)",
        {"constants": "float[8] s = {1,2,3,4,5,6,7,8}, float[8] b = {8,7,6,5,4,3,2,1}"},
    ),
    "Cast": (19, "h = Cast<to=10, saturate=0>(x) y = Cast<to=1>(h)", {}),
    "AveragePool": (
        22,
        "y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], dilations=[1,1], ceil_mode=1>(x)",
        {},
    ),
    "LpPool": (18, "y = LpPool<kernel_shape=[2,2], dilations=[1,1], ceil_mode=0>(x)", {}),
    "GridSample": (20, 'y = GridSample<mode="linear">(x, g)', {"x": f"{X}, float[2,3,4,2] g"}),
    "QuantizeLinear and back": (
        21,
        "q = QuantizeLinear<output_dtype=3>(x, s) y = DequantizeLinear(q, s)",
        {"constants": "float s = {0.05}"},
    ),
    "CenterCropPad, a function of the standard": (
        18,
        "s = Constant<value_ints=[8, 4, 4]>() y = CenterCropPad<axes=[1, 2, 3]>(x, s)",
        {},
    ),
    "ScatterND": (
        18,
        'y = ScatterND<reduction="add">(x, i, u)',
        {"constants": "int64[1,4] i = {0,1,2,3}, float[1] u = {9}"},
    ),
    "Equal, Cast and Where": (19, "c = Greater(x, z) y = Where(c, x, z)", {"constants": "float z = {0.1}"}),
    "a branch": (
        18,
        """c = Constant<value_int=1>() k = Cast<to=9>(c)
        y = If(k) <then_branch = t () => (float[?,?,?,?] a) { ax = Constant<value_ints=[1]>() a = ReduceMean(x, ax) },
                   else_branch = e () => (float[?,?,?,?] b) { b = Identity(x) }>""",
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_lowered_model_computes_the_same(name: str) -> None:
    opset, body, rest = CASES[name]
    source = model(opset, body, **rest)
    random = np.random.default_rng(1)
    feeds = {
        value.name: random.uniform(-1, 1, [dim.dim_value for dim in value.type.tensor_type.shape.dim]).astype("f")
        for value in source.graph.input
    }
    wanted = equality.run(source, feeds)
    lowered = lower_opset(source)
    assert opset_version(lowered) == 16
    onnx.checker.check_model(lowered, full_check=True)
    assert list(equality.run(lowered, feeds)) == ["y"]
    equality.require_equal(wanted, equality.run(lowered, feeds), equality.Tolerance(snr_db=100))
