"""Our quantizers beside the rules that Qualcomm publishes for the chip: the same but where a difference has a reason.

The rules are facts of `htp_quantsim_config_v73.json` in the wheel aimet-onnx 2.42 (BSD-3, Qualcomm's own). What differs
is listed here with its reason, and told in docs/explain/int8.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from oakmill.graph.encodings import activations
from oakmill.graph.quantize import Plan, quantize
from tests.conftest import PROJECT
from tests.unit.graph.building import parse

SHAPES: Mapping[str, tuple[int, ...]] = {
    "w": (4, 3, 1, 1), "v": (3, 4, 1, 1), "g": (4, 3), "m": (3, 4), "slope": (4, 1, 1), "gain": (4,), "shift": (4,),
}  # fmt: skip
IMAGE, ROWS = "float[1,3,6,6] x", "float[2,3] x"


def quantized(body: str, inputs: str = IMAGE) -> ModelProto:
    """A float graph with random weights, quantized with every tensor measured as -3 to 2."""
    rank = inputs.count(",") + 1
    model = parse(body, inputs=inputs, outputs=f"float[{','.join('?' * rank)}] y", opset=17)
    random = np.random.default_rng(3)
    read = {name for node in model.graph.node for name in node.input}
    for name, shape in SHAPES.items():
        if name in read:
            model.graph.initializer.append(numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name))
    ranged = activations(model)
    return quantize(model, ranged.complete(dict.fromkeys(ranged.measured, (-3.0, 2.0))), Plan(), [])


def kinds(model: ModelProto) -> dict[str, tuple[str, int]]:
    """The number type of each constant, and how many scales it has, by its name before it was quantized."""
    constants = {item.name: item for item in model.graph.initializer}
    found = {}
    for name, item in constants.items():
        plain = name.removesuffix("_quantized")
        scale = constants.get(f"{plain}_scale") or constants.get(f"{name}_scale")
        if name.endswith("_quantized") and scale is not None:
            found[plain] = (TensorProto.DataType.Name(item.data_type), math.prod(scale.dims))
    return found


def formats(model: ModelProto) -> dict[str, tuple[float, float]]:
    """The lowest and highest value that each tensor's format holds, by the tensor's name before it was quantized."""
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and constants[node.input[1]].size == 1:
            step, zero = float(constants[node.input[1]].item()), int(constants[node.input[2]].item())
            found[node.input[0].removesuffix("_QuantizeLinear_Input")] = (-zero * step, (255 - zero) * step)
    return found


FIXED = {
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "Sin": (-1.0, 1.0),
    "Cos": (-1.0, 1.0),
}
"""`encoding_constraints`: the range that an operator's output has, whatever was measured."""


@pytest.mark.parametrize("operator", FIXED)
def test_outputs_of_a_known_range_have_it(operator: str) -> None:
    np.testing.assert_allclose(formats(quantized(f"y = {operator}(x)"))["y"], FIXED[operator], atol=0.01)


GROUPS = {
    "Add, Relu": "c = Add(x, x) y = Relu(c)",
    "Conv, Relu": "c = Conv(x, w) y = Relu(c)",
    "ConvTranspose, Relu": "c = ConvTranspose(x, v) y = Relu(c)",
    "Conv, Clip": "c = Conv(x, w) a = Constant<value_float=0.0>() b = Constant<value_float=6.0>() y = Clip(c, a, b)",
    "Conv, LeakyRelu": "c = Conv(x, w) y = LeakyRelu(c)",
    "Conv, PRelu": "c = Conv(x, w) y = PRelu(c, slope)",
    "Conv, HardSwish": "c = Conv(x, w) y = HardSwish(c)",
}
"""`supergroups`: operators that the chip runs as one, with no quantizer between. BatchNormalization, which stands in
some of them, is part of the Conv before we quantize; `Conv, Transpose, Relu` is how a layout is written."""
APART = {"Conv, LeakyRelu", "Conv, PRelu", "Conv, HardSwish"}
"""Each tensor of a DLC needs a format, and the values between these two are not those behind them: what is measured
there is what the compiler is told. Where it runs both as one, it does not round between."""


@pytest.mark.parametrize("group", GROUPS)
def test_what_the_chip_runs_as_one_has_one_format(group: str) -> None:
    model = parse(GROUPS[group], inputs=IMAGE, outputs="float[?,?,?,?] y", opset=17)
    assert ("c" in activations(model).shared) == (group not in APART)


BY_CHANNEL = {
    "Conv": ("y = Conv(x, w)", IMAGE, "w"),
    "ConvTranspose": ("y = ConvTranspose(x, v)", IMAGE, "v"),
    "Gemm": ("y = Gemm<transB=1>(x, g)", ROWS, "g"),
    "MatMul": ("y = MatMul(x, m)", ROWS, "m"),
    "PRelu": ("c = Conv(x, w) y = PRelu(c, slope)", IMAGE, "slope"),
}
"""Whose weights have a scale for each channel (`per_channel_quantization`), and are symmetric (`params`)."""
WHOLE = {"MatMul", "PRelu"}
"""One scale: onnxruntime's writer gives the constants of a MatMul no other on its own; the library refuses the signed
slopes of a PRelu."""


@pytest.mark.parametrize("operator", BY_CHANNEL)
def test_weights_have_a_scale_for_each_channel(operator: str) -> None:
    body, inputs, weight = BY_CHANNEL[operator]
    kind, scales = kinds(quantized(body, inputs))[weight]
    assert (scales > 1) == (operator not in WHOLE)
    assert kind == ("UINT8" if operator == "PRelu" else "INT8")


def test_a_bias_is_no_8_bits() -> None:
    """`bias` is not quantized: it is stored in 32 bits, with the products' own scale."""
    assert kinds(quantized("y = Conv(x, w, shift)"))["shift"] == ("INT32", 4)


def test_the_scale_of_a_norm_is_unsigned() -> None:
    """`is_symmetric` is False for the weights of InstanceNormalization and LayerNormalization."""
    assert kinds(quantized("c = Conv(x, w) y = InstanceNormalization(c, gain, shift)"))["gain"][0] == "UINT8"


MOVED = {
    "Gather": "i = Constant<value_ints=[0,1]>() y = Gather<axis=1>(c, i)",
    "Transpose": "y = Transpose<perm=[0,2,3,1]>(c)",
    "Resize": 'e = Constant<value_floats=[1.0,1.0,2.0,2.0]>() y = Resize<mode="nearest">(c, , e)',
    "MaxPool": "y = MaxPool<kernel_shape=[2,2]>(c)",
}
"""Of these the rules give Gather no format of its own (`is_output_quantized`). That what else moves values has its
input's is onnxruntime's rule for the chip: a format of its own would round twice."""


@pytest.mark.parametrize("operator", MOVED)
def test_what_moves_values_keeps_their_format(operator: str) -> None:
    ranged = activations(parse(f"c = Conv(x, w) {MOVED[operator]}", inputs=IMAGE, outputs="float[?,?,?,?] y", opset=17))
    assert ranged.root("y") == "c"


@pytest.mark.parametrize("kind", sorted(APART | WHOLE))
def test_each_difference_is_explained(kind: str) -> None:
    told = (PROJECT / "docs" / "explain" / "int8.md").read_text()
    assert kind.rpartition(", ")[2] in told.partition("published rules")[2]
