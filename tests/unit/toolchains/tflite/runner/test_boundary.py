from __future__ import annotations

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, TensorProto, checker, parser

from oakmill.toolchains.tflite.runner.boundary import float_boundary

WHOLE = """
<ir_version: 8, opset_import: ["" : 16]>
integers (int8[1, 4] x) => (int8[4] y)
<float step = {0.5}, float zero = {-1.0}, int8 z = {3}, int64[1] shape = {4}>
{
    real = Cast <to = 1> (x)
    moved = Sub (real, zero)
    scaled = Mul (moved, step)
    whole = QuantizeLinear (scaled, step, z)
    y = Reshape (whole, shape)
}
"""


def kinds(model: ModelProto) -> list[int]:
    return [value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)]


def test_integers_at_both_ends_become_the_numbers_that_they_stand_for() -> None:
    model = parser.parse_model(WHOLE)
    float_boundary(model)
    assert kinds(model) == [TensorProto.FLOAT, TensorProto.FLOAT]
    checker.check_model(model, full_check=True)
    (y,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": np.array([[-128, 0, 1, 127]], np.float32)})
    assert y.tolist() == [-63.5, 0.5, 1.0, 64.0]


def test_a_quantizer_right_at_the_end_goes_too() -> None:
    model = parser.parse_model(WHOLE.replace("whole = Q", "y = Q").replace("y = Reshape (whole, shape)", ""))
    model.graph.output[0].type.tensor_type.shape.CopyFrom(model.graph.input[0].type.tensor_type.shape)
    float_boundary(model)
    checker.check_model(model, full_check=True)
    assert "QuantizeLinear" not in {node.op_type for node in model.graph.node}


def test_what_is_read_as_integers_stays_so() -> None:
    text = WHOLE.replace("(int8[4] y)", "(int8[4] y, int8[1, 4] same)").replace(
        "y = Reshape (", "same = Abs (x) y = Reshape ("
    )
    model = parser.parse_model(text)
    float_boundary(model)
    assert kinds(model)[0] == TensorProto.INT8
    assert kinds(model)[2] == TensorProto.INT8
