from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.errors import PreparationFailed
from oakmill.graph import equality
from oakmill.graph.boundary import encoding_of, interleave
from oakmill.graph.encodings import activations
from oakmill.graph.quantize import Encoding, Plan, quantize


def network(*, opset: int = 13) -> ModelProto:
    """Conv, Relu, Conv with a Sigmoid beside it, a Reshape: what ranges are shared and which are not."""
    random = np.random.default_rng(3)
    weights = {"w1": random.normal(size=[8, 3, 3, 3]) / 255, "w2": random.normal(size=[4, 8, 1, 1])}
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["c1"], name="conv1"),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], name="conv2"),
        helper.make_node("Sigmoid", ["c2"], ["gate"], name="sigmoid"),
        helper.make_node("Mul", ["c2", "gate"], ["m"], name="mul"),
        helper.make_node("Reshape", ["m", "shape"], ["out"], name="reshape"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 144])],
        [
            *(numpy_helper.from_array(value.astype("f"), name) for name, value in weights.items()),
            numpy_helper.from_array(np.array([1, 144], np.int64), "shape"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def pictures(count: int = 4) -> list[np.ndarray]:
    random = np.random.default_rng(4)
    return [random.integers(0, 256, [1, 8, 8, 3]).astype("f") for _ in range(count)]


def measured(model: ModelProto) -> dict[str, tuple[float, float]]:
    """The true ranges, by running everything."""
    everything = ModelProto()
    everything.CopyFrom(model)
    names = [name for name in activations(model).measured if name not in ("image", "out")]
    everything.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = equality.Session(everything)
    found: dict[str, tuple[float, float]] = {}
    for image in pictures():
        values = {**session.run({"image": image}), "image": image}
        for name in activations(model).measured:
            low, high = found.get(name, (0.0, 0.0))
            found[name] = min(low, float(values[name].min())), max(high, float(values[name].max()))
    return activations(model).complete(found)


def test_only_tensors_that_need_a_range_are_measured() -> None:
    ranged = activations(network())
    assert ranged.measured == ("image", "r1", "c2", "gate", "m")
    assert ranged.shared == {"c1": "r1", "out": "m"}
    ranges = ranged.complete(dict.fromkeys(ranged.measured, (0.0, 1.0)))
    assert set(ranges) == {"image", "c1", "r1", "c2", "gate", "m", "out"}


@pytest.mark.parametrize(("activation", "weight", "least_db"), [(8, 8, 20), (16, 8, 22), (16, 16, 60)])
def test_a_quantized_network_is_near_the_float_one(activation: int, weight: int, least_db: float) -> None:
    model = interleave(network(), ["image"], outputs=True)
    plan = Plan(activation, weight, per_channel=weight == 8)
    written = quantize(model, measured(model), plan, ["image"])
    encoding = encoding_of(written, "out")
    assert encoding is not None
    scale, zero = encoding
    session = equality.Session(written, integer_kernels=False)  # these saturate on processors without VNNI
    for image in pictures():
        expected = equality.run(model, {"image": image})["out"]
        stored = session.run({"image": image.astype(np.uint8)})["out"]
        assert stored.dtype == (np.uint16 if activation == 16 else np.uint8)
        assert equality.snr_db(expected, (stored.astype("f") - zero) * scale) > least_db


def test_pixels_come_in_as_they_are_whatever_was_measured() -> None:
    model = interleave(network(), ["image"], outputs=True)
    ranges = {**measured(model), "image": (17.0, 90.0)}
    written = quantize(model, ranges, Plan(), ["image"])
    assert encoding_of(written, "image") == (1.0, 0)
    assert next(iter(written.graph.input)).type.tensor_type.elem_type == TensorProto.UINT8


def test_a_single_tensor_can_have_another_format() -> None:
    model = interleave(network(), ["image"], outputs=True)
    written = quantize(model, measured(model), Plan(encodings={"m": Encoding(16)}), ["image"])
    kinds = {item.name: item.data_type for item in written.graph.initializer}
    assert kinds["m_zero_point"] == TensorProto.UINT16
    assert kinds["r1_zero_point"] == TensorProto.UINT8


def test_given_scales_are_written_as_they_are() -> None:
    model = interleave(network(), ["image"], outputs=True)
    written = quantize(model, measured(model), Plan(encodings={"r1": Encoding(8, (0.125,), (3,))}), ["image"])
    constants = {item.name: numpy_helper.to_array(item) for item in written.graph.initializer}
    assert float(constants["r1_scale"]) == 0.125
    assert int(constants["r1_zero_point"]) == 3


def test_a_missing_range_is_named() -> None:
    model = interleave(network(), ["image"], outputs=True)
    ranges = measured(model)
    del ranges["gate"]
    with pytest.raises(PreparationFailed, match="gate"):
        quantize(model, ranges, Plan(), ["image"])


def clamped(low: float, high: float, shape: Sequence[int] = ()) -> ModelProto:
    """image -> Conv -> Clip, whose bounds have this shape."""
    weight = (np.random.default_rng(1).normal(size=[2, 3, 1, 1]) / 50).astype("f")
    bounds = [
        numpy_helper.from_array(np.full(shape, value, "f"), name) for name, value in (("low", low), ("high", high))
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w"], ["c"], name="conv"),
            helper.make_node("Clip", ["c", "low", "high"], ["out"], name="clip"),
        ],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 2, 8, 8])],
        [numpy_helper.from_array(weight, "w"), *bounds],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize(("low", "high", "stays"), [(0, 3, False), (-1, 1, False), (1, 3, True), (-2, -1, True)])
def test_a_clip_is_never_lost(low: float, high: float, stays: bool, shape: tuple[int, ...]) -> None:
    """onnxruntime's writer drops each Clip, as if its output's number format did the same: formats hold zero.

    Bounds of shape [1], as every MobileNet from Keras has them, ended in a TypeError.
    """
    model = clamped(low, high, shape)
    written = quantize(model, {"image": (0, 255), "c": (low, high), "out": (low, high)}, Plan(), ["image"])
    assert ("Clip" in {node.op_type for node in written.graph.node}) is stays
    encoding = encoding_of(written, "out")
    assert encoding is not None
    session = equality.Session(written, integer_kernels=False)
    for image in (picture.transpose(0, 3, 1, 2) for picture in pictures()):
        expected = equality.run(model, {"image": image})["out"]
        stored = session.run({"image": image.astype(np.uint8)})["out"].astype("f")
        np.testing.assert_allclose((stored - encoding[1]) * encoding[0], expected, atol=0.1)


def test_a_constant_node_is_quantized_as_an_initializer_is() -> None:
    """Bringing a model up to opset 13 leaves Constants: "parameters are not specified for param _v_187"."""
    model = interleave(network(), ["image"], outputs=True)
    expected = quantize(model, measured(model), Plan(), ["image"])
    value = next(item for item in model.graph.initializer if item.name == "w2")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w2"], value=value))
    model.graph.initializer.remove(value)
    written = quantize(model, measured(model), Plan(), ["image"])
    assert Counter(node.op_type for node in written.graph.node) == Counter(node.op_type for node in expected.graph.node)


@pytest.mark.parametrize("suffix", ["_scale", "_zero_point", "_quantized", "_DequantizeLinear_Output"])
def test_a_tensor_may_be_called_as_the_writer_calls_what_it_makes(suffix: str) -> None:
    """A model that was quantized before has such names, and Caffe's norms `bn` and `bn_scale`: defined twice."""
    plain = interleave(network(), ["image"], outputs=True)
    expected = quantize(plain, measured(plain), Plan(), ["image"])
    model = interleave(network(), ["image"], outputs=True)
    for node in model.graph.node:
        node.input[:] = [
            f"c2{suffix}" if name == "w1" else f"r1{suffix}" if name == "m" else name for name in node.input
        ]
        node.output[:] = [f"r1{suffix}" if name == "m" else name for name in node.output]
    for item in model.graph.initializer:
        item.name = f"c2{suffix}" if item.name == "w1" else item.name
    del model.graph.value_info[:]
    written = quantize(model, measured(model), Plan(encodings={f"r1{suffix}": Encoding(8)}), ["image"])
    image = pictures()[0].astype(np.uint8)
    np.testing.assert_array_equal(
        equality.run(written, {"image": image})["out"], equality.run(expected, {"image": image})["out"]
    )


def test_a_range_that_no_tensor_gives_is_an_error_and_no_endless_loop() -> None:
    """onnxruntime's writer waits in a loop for the range that a pool shares with what was quantized before."""
    constants = [
        numpy_helper.from_array(np.array(value), name) for name, value in (("s", np.float32(1)), ("z", np.uint8(0)))
    ]
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["image", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
            helper.make_node("MaxPool", ["d"], ["p"], kernel_shape=[2, 2]),
            helper.make_node("QuantizeLinear", ["p", "s", "z"], ["q2"]),
            helper.make_node("DequantizeLinear", ["q2", "s", "z"], ["d2"]),
            helper.make_node("Relu", ["d2"], ["out"]),
        ],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3, 7, 7])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(PreparationFailed, match="'p' has the range of 'd'"):
        quantize(model, dict.fromkeys(["image", "d", "p", "d2", "out"], (0.0, 255.0)), Plan(), ["image"])


def test_a_relu_stays_where_its_outputs_given_format_has_room_below_zero() -> None:
    model = interleave(network(), ["image"], outputs=True)
    kept = quantize(model, measured(model), Plan(encodings={"r1": Encoding(8, (0.125,), (3,))}), ["image"])
    dropped = quantize(model, measured(model), Plan(encodings={"r1": Encoding(8, (0.125,), (0,))}), ["image"])
    assert "Relu" in {node.op_type for node in kept.graph.node}
    assert "Relu" not in {node.op_type for node in dropped.graph.node}


def test_16_bits_behind_a_relu_are_16_bits_in_front_of_it() -> None:
    """A convolution wrote 8 bits, which were then widened for its Relu: 16 bits cost twice the memory for nothing."""
    model = interleave(network(), ["image"], outputs=True)
    ranges = measured(model)
    ratios = {}
    for bits in (8, 16):
        encodings = {name: Encoding(bits) for name in activations(model).measured if name != "image"}
        written = quantize(model, ranges, Plan(8, 16, False, encodings), ["image"])
        kinds = {item.name: item.data_type for item in written.graph.initializer}
        writers = [node for node in written.graph.node if node.op_type == "QuantizeLinear"]
        of_pixels = {node.input[1] for node in writers if node.input[1].startswith("image")}
        assert {kinds[node.input[2]] for node in writers if node.input[1] not in of_pixels} == {
            TensorProto.UINT16 if bits == 16 else TensorProto.UINT8
        }
        encoding = encoding_of(written, "out")
        assert encoding is not None
        image = pictures()[0]
        stored = equality.run(written, {"image": image.astype(np.uint8)})["out"].astype("f")
        expected = equality.run(model, {"image": image})["out"]
        ratios[bits] = equality.snr_db(expected, (stored - encoding[1]) * encoding[0])
    assert ratios[16] > ratios[8] + 20


def test_nodes_without_names_can_have_tensors_of_their_own_format() -> None:
    """onnxruntime's writer refused: "Node of type Shape with output 0 _v_120 does not have a name!"."""
    model = interleave(network(), ["image"], outputs=True)
    for node in model.graph.node:
        node.name = ""
    model.graph.node[0].name = model.graph.node[1].output[0]  # a name that is another node's output
    written = quantize(model, measured(model), Plan(encodings={"m": Encoding(16)}), ["image"])
    kinds = {item.name: item.data_type for item in written.graph.initializer}
    assert kinds["m_zero_point"] == TensorProto.UINT16
    assert not model.graph.node[2].name
