from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.graph import equality
from oakmill.graph.boundary import TO_FIRST, encoding_of, fold_quantizers, interleave, narrow_integers, pixels_of_8_bits


def conv() -> ModelProto:
    """A picture of NCHW into a convolution, whose 4-D output is read on by a second output's node."""
    random = np.random.default_rng(1)
    weight = numpy_helper.from_array(random.normal(size=[4, 3, 3, 3]).astype("f"), "w")
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["features"], name="conv"),
        helper.make_node("ReduceMean", ["features"], ["means"], name="mean", axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 6, 8])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 4, 4, 6]),
            helper.make_tensor_value_info("means", TensorProto.FLOAT, [1, 4]),
        ],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def picture() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, [1, 6, 8, 3]).astype("f")


def test_an_interleaved_model_computes_the_same() -> None:
    model, image = conv(), picture()
    turned = interleave(model, ["image"], outputs=True)
    onnx.checker.check_model(turned, full_check=True)
    before = equality.run(model, {"image": image.transpose(TO_FIRST)})
    after = equality.run(turned, {"image": image})
    assert after["features"].shape == (1, 4, 6, 4)
    np.testing.assert_allclose(after["features"].transpose(TO_FIRST), before["features"], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(after["means"], before["means"], rtol=1e-5, atol=1e-3)
    assert [value.name for value in turned.graph.output] == ["features", "means"]


def test_outputs_stay_where_no_picture_was_turned() -> None:
    turned = interleave(conv(), [], outputs=False)
    assert equality.run(turned, {"image": picture().transpose(TO_FIRST)})["features"].shape == (1, 4, 4, 6)


def test_integers_of_64_bits_are_narrowed() -> None:
    graph = helper.make_graph(
        [helper.make_node("Mul", ["ids", "ids"], ["squares"]), helper.make_node("ArgMax", ["ids"], ["best"], axis=1)],
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 3])],
        [helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in ("squares", "best")],
    )
    model = narrow_integers(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))
    found = equality.run(model, {"ids": np.array([[1, 5, 3]], np.int32)})
    assert {name: values.dtype for name, values in found.items()} == {"squares": np.int32, "best": np.int32}
    assert found["squares"].tolist() == [[1, 25, 9]]
    assert found["best"].tolist() == [[1]]


def test_pixels_of_8_bits_reach_a_float_model_unchanged() -> None:
    model, image = interleave(conv(), ["image"], outputs=True), picture()
    pixels = pixels_of_8_bits(interleave(conv(), ["image"], outputs=True), ["image"])
    expected = equality.run(model, {"image": image})
    equality.require_equal(expected, equality.run(pixels, {"image": image.astype(np.uint8)}))


def quantized(*, read_on: bool) -> ModelProto:
    """x -> quantize -> dequantize -> y, and with `read_on` a second output computed from y."""
    scale, zero = (
        numpy_helper.from_array(np.array(value), name) for value, name in ((np.float32(0.5), "s"), (np.uint8(10), "z"))
    )
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])]
    if read_on:
        nodes.append(helper.make_node("Neg", ["y"], ["n"]))
        outputs.append(helper.make_tensor_value_info("n", TensorProto.FLOAT, [4]))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])], outputs, [scale, zero]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_a_folded_output_goes_out_as_the_stored_number() -> None:
    model = fold_quantizers(quantized(read_on=False), [])
    assert equality.run(model, {"x": np.array([1, 2, -3, 0], "f")})["y"].tolist() == [12, 14, 10, 10]
    assert encoding_of(model, "y") == (0.5, 10)


def test_a_folded_output_that_is_read_on_leaves_the_reader_its_float() -> None:
    model = fold_quantizers(quantized(read_on=True), [])
    found = equality.run(model, {"x": np.array([1, 2, -3, 0], "f")})
    assert found["y"].tolist() == [12, 14, 10, 10]
    assert found["n"].tolist() == [-1, -2, 0, 0]


def test_what_was_known_of_the_boundary_before_is_forgotten() -> None:
    """A note of an output's former type made the graph unreadable as soon as nodes were added to it."""
    model = interleave(conv(), ["image"], outputs=True)
    declared = {value.name for value in (*model.graph.input, *model.graph.output)}
    assert not declared & {value.name for value in model.graph.value_info}
    graph = helper.make_graph(
        [helper.make_node("ArgMax", ["x"], ["best"], axis=1)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("best", TensorProto.INT64, [1, 1])],
        value_info=[helper.make_tensor_value_info("best", TensorProto.INT64, [1, 1])],
    )
    model = narrow_integers(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))
    assert "best" not in {value.name for value in model.graph.value_info}
    model.graph.node.append(helper.make_node("Identity", ["best"], ["same"]))
    model.graph.output.append(helper.make_tensor_value_info("same", TensorProto.INT32, [1, 1]))
    found = equality.run(model, {"x": np.array([[1, 5, 3]], "f")})
    assert {name: values.tolist() for name, values in found.items()} == {"best": [[1]], "same": [[1]]}


def test_bytes_for_a_float_model_leave_the_model_itself_alone() -> None:
    """The float graph was changed too, and could then no longer be run on the pictures as they are read."""
    model = interleave(conv(), ["image"], outputs=True)
    pixels_of_8_bits(model, ["image"])
    assert equality.run(model, {"image": picture()})["features"].dtype == np.float32


@pytest.mark.parametrize("named", ["", "like the output"])
@pytest.mark.parametrize("op", ["Relu", "ArgMax"])
def test_the_boundarys_own_nodes_are_called_like_no_other(op: str, named: str) -> None:
    """They were called like the output: PaddlePaddle calls its nodes so, and the quantizer those without a name.

    onnxruntime refuses two nodes of one name, so no map, and no integer of 64 bits, left such a model.
    """
    attributes: dict[str, Any] = {"axis": 1} if op == "ArgMax" else {}
    kind = TensorProto.INT64 if op == "ArgMax" else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(op, ["image"], ["y"], "y" if named else "", **attributes)],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 6, 8])],
        [helper.make_tensor_value_info("y", kind, [1, 1 if op == "ArgMax" else 3, 6, 8])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    turned = narrow_integers(interleave(model, ["image"], outputs=True))
    names = [node.name or node.output[0] for node in turned.graph.node]  # as the quantizer names the others
    assert len(set(names)) == len(names)
    assert equality.run(turned, {"image": picture()})["y"].size
