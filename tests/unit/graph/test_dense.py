"""Dense layers over many rows, as RVC2's compiler gets them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

from oakmill.graph import equality
from oakmill.graph.decompose import decompose
from oakmill.graph.dense import FEW_ROWS
from tests.unit.graph.building import feeds, ops, parse

OPS = ["Gemm", "MatMul"]
MANY = {
    "MatMul of three axes": ("y = MatMul(x, w)", "float[1,200,5] x", [5, 7]),
    "MatMul of four": ("y = MatMul(x, w)", "float[2,10,13,5] x", [5, 7]),
    "Gemm": ("y = Gemm(x, w, b)", "float[200,5] x", [5, 7]),
    "Gemm the other way round": ("y = Gemm<transB=1, alpha=0.5, beta=2.0>(x, w, b)", "float[200,5] x", [7, 5]),
    "Gemm of one bias": ("y = Gemm(x, w, o)", "float[200,5] x", [5, 7]),
    "Gemm of no bias": ("y = Gemm(x, w)", "float[200,5] x", [5, 7]),
}
FEW = {
    "as many as are quick": ("y = MatMul(x, w)", f"float[1,{FEW_ROWS},5] x", [5, 7]),
    "computed weights": ("c = Relu(w) y = MatMul(x, c)", "float[200,5] x, float[5,7] w", []),
    "weights by batch": ("y = MatMul(x, w)", "float[3,200,5] x", [3, 5, 7]),
    "a bias by row": ("y = Gemm(x, w, r)", "float[200,5] x", [5, 7]),
    "columns": ("y = Gemm<transA=1>(x, w)", "float[5,200] x", [5, 7]),
}


def model(body: str, inputs: str, weights: list[int]) -> ModelProto:
    """A model of one layer, with weights and biases at hand."""
    made = parse(body, inputs=inputs, outputs="float[?] y")
    del made.graph.output[0].type.tensor_type.shape.dim[:]
    made.graph.output[0].type.tensor_type.ClearField("shape")
    random = np.random.default_rng(2)
    for name, shape in {"w": weights, "b": [7], "r": [200, 1], "o": [1]}.items():
        if shape and f"{name})" in body.replace(",", ")"):
            made.graph.initializer.append(numpy_helper.from_array(random.normal(size=shape).astype("f"), name))
    return made


@pytest.mark.parametrize("kind", MANY)
def test_many_rows_are_convolved(kind: str) -> None:
    """Magika, which reads 2,048 bytes, was not compiled in 10 minutes: RVC2's compiler lays rows out one by one."""
    source = model(*MANY[kind])
    changed = decompose(source, OPS)
    assert [op for op in ops(changed) if op not in ("Reshape", "Transpose")] == ["Conv"]
    data = feeds(source)
    equality.require_equal(equality.run(source, data), equality.run(changed, data), equality.Tolerance(snr_db=100))


@pytest.mark.parametrize("kind", FEW)
def test_others_stay(kind: str) -> None:
    source = model(*FEW[kind])
    assert ops(decompose(source, OPS)) == ops(source)
