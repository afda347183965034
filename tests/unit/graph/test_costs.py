"""What a graph costs: counted from shapes, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.conversion.passport.cost import of
from oakmill.graph import boundary
from oakmill.graph.costs import IR_DOMAIN, count
from oakmill.graph.encodings import activations
from oakmill.graph.float16 import to_half
from oakmill.graph.quantize import Encoding, Plan, quantize
from tests.unit.graph.building import convolution, parse


def weights(**shapes: tuple[int, ...]) -> str:
    return ", ".join(
        f"float[{','.join(map(str, shape))}] {name} = {{{', '.join(['0.5'] * int(np.prod(shape)))}}}"
        for name, shape in shapes.items()
    )


def test_a_convolution() -> None:
    """4 filters of 3 x 3 x 3 at 8 x 6 places; the Relu is done as the convolution writes, and costs nothing."""
    found = count(convolution())
    assert [layer.op for layer in found.layers] == ["Conv"]
    assert found.multiply_adds == 8 * 6 * 4 * 27
    assert (found.parameters, found.weight_bytes) == (108, 216)
    assert (found.layers[0].read, found.layers[0].written) == (3 * 48 * 2, 4 * 48 * 2)
    assert found.moved_bytes == 3 * 48 * 2 + 4 * 48 * 2 + 216
    assert found.peak_bytes == (3 + 4) * 48 * 2


def test_groups_matrices_and_transposed_convolutions() -> None:
    depthwise = parse(
        "y = Conv<group=8,pads=[1,1,1,1]>(x, w)", inputs="float[1,8,6,5] x", constants=weights(w=(8, 1, 3, 3))
    )
    assert count(depthwise).multiply_adds == 8 * 30 * 9
    assert count(depthwise).layers[0].groups == 8
    up = parse("y = ConvTranspose<strides=[2,2]>(x, w)", inputs="float[1,8,6,5] x", constants=weights(w=(8, 3, 2, 2)))
    assert count(up).multiply_adds == 8 * 30 * 3 * 4
    product = parse("y = MatMul(x, x)", inputs="float[2,4,4] x", outputs="float[?,?,?] y")
    assert (count(product).multiply_adds, count(product).parameters) == (2 * 4 * 4 * 4, 0)
    gemm = parse(
        "y = Gemm<transA=1,transB=1>(x, w)", inputs="float[5,2] x", outputs="float[?,?] y", constants=weights(w=(3, 5))
    )
    assert count(gemm).multiply_adds == 2 * 3 * 5
    einsum = parse('y = Einsum<equation="bij,bjk->bik">(x, x)', inputs="float[2,4,4] x", outputs="float[?,?,?] y")
    assert count(einsum).multiply_adds == 2 * 64


def test_a_shared_weight_counts_once_and_a_shape_is_no_parameter() -> None:
    model = parse(
        "a = Mul(x, w)  b = Mul(a, w)  y = Reshape(b, s)",
        inputs="float[1,4] x",
        outputs="float[?,?] y",
        constants=weights(w=(4,)) + ", int64[2] s = {4, 1}",
    )
    found = count(model)
    assert (found.parameters, len(found.layers)) == (4, 2)


def test_the_peak_is_where_most_is_alive() -> None:
    """A tensor that the last layer adds lives through all between: there are three at once where two are touched."""
    model = parse(
        "a = Sigmoid(x)  b = Tanh(a)  c = Exp(b)  d = Tanh(c)  y = Add(d, a)",
        inputs="float[1,1000] x",
        outputs="float[?,?] y",
    )
    found = count(model)
    assert found.peak_bytes == 3 * 2000
    assert found.peak_at == "c"


def test_open_shapes_are_counted_as_unknown() -> None:
    found = count(parse("y = Sigmoid(x)", inputs="float[1,N] x", outputs="float[?,?] y"))
    assert (found.unknown, found.moved_bytes) == (1, 0)


def quantized(plan: Plan) -> ModelProto:
    model = convolution()
    ranges = dict.fromkeys(("x", "c", "y"), (-1.0, 1.0))
    ranged = activations(model)
    return quantize(model, ranged.complete({name: ranges[name] for name in ranged.measured}), plan, ["x"])


def test_formats_of_a_quantized_graph() -> None:
    """Quantizers are no layers: they say how a tensor is stored; through onnxruntime's own, onnx infers no shapes."""
    plain = count(convolution())
    narrow = count(quantized(Plan()))
    assert [layer.number_format for layer in narrow.layers if layer.op == "Conv"] == ["W8A8"]
    assert narrow.multiply_adds == plain.multiply_adds
    assert narrow.parameters == plain.parameters
    assert (narrow.weight_bytes, narrow.peak_bytes) == (108, plain.peak_bytes // 2)
    wide = count(quantized(Plan(activation_bits=16)))
    assert [layer.number_format for layer in wide.layers if layer.op == "Conv"] == ["W8A16"]
    assert wide.layers[-1].written == 2 * narrow.layers[-1].written
    mixed = count(quantized(Plan(encodings={"y": Encoding(16)})))
    assert mixed.layers[-1].number_format == "W8A16"


def test_weights_of_half_bytes() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["real"]),
        helper.make_node("MatMul", ["x", "real"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            helper.make_tensor("w", TensorProto.INT4, [4, 2], [1] * 8),
            numpy_helper.from_array(np.array(0.1, np.float32), "s"),
        ],
    )
    found = count(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))
    assert (found.parameters, found.weight_bytes, found.layers[0].number_format) == (8, 4, "W4A16")


def test_a_graph_in_half_whose_pixels_come_in_as_bytes() -> None:
    """Squeezenet in FP16 had 0 multiply-adds: onnxruntime's converter puts its casts last, and onnx infers no shape of
    what stands before its input is made."""
    plain = count(convolution())
    made = boundary.pixels_of_8_bits(to_half(convolution()), ["x"])
    assert (made.graph.input[0].type.tensor_type.elem_type, count(made).unknown) == (TensorProto.UINT8, 0)
    assert (count(made).multiply_adds, count(made).parameters) == (plain.multiply_adds, plain.parameters)
    assert count(made).layers[-1].number_format == "float"


def test_a_computed_shape_hides_nothing_behind_it() -> None:
    """Squeezenet in FP16 got no expected time: its old Softmax is brought back to the shape of its input, which a node
    computes, and the Transpose behind it had no shape."""
    model = parse(
        "b = Softmax(x)  y = Reshape(b, s)  z = Transpose<perm=[1,0]>(y)",
        inputs="float[1,10] x, int64[2] s",
        outputs="float[?,?] z",
    )
    found = count(model)
    assert (found.unknown, [layer.op for layer in found.layers]) == (0, ["Softmax", "Transpose"])
    assert found.layers[-1].written == 20


def test_an_openvino_ir_is_not_counted() -> None:
    """Every conversion of an IR ended in onnx's own error: it knows no operators of that domain."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    node = helper.make_node("Multiply", ["x", "x"], ["y"], domain=IR_DOMAIN)
    found = count(helper.make_model(helper.make_graph([node], "g", values[:1], values[1:])), value_bits=16)
    assert (found.layers, found.unknown) == ((), 1)
    assert of(found).words == "nothing is counted: 1 layer with operators that are not ONNX's"
