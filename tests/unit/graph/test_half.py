from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from oakmill.graph import equality, half
from tests.unit.graph.building import convolution, feeds, names, ops, parse


def estimate(model: onnx.ModelProto, data: dict[str, equality.Array]) -> dict[str, equality.Array]:
    return equality.Session(half.half_estimate(model), optimise=False).run(data)


def test_every_tensor_is_rounded_to_float16() -> None:
    model = parse("a = Mul(x, k) y = Add(a, x)", constants="float k = {0.1}")
    data = feeds(model)
    x = data["x"].astype(np.float16).astype(np.float32)
    product = (x * np.float32(np.float16(0.1))).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(estimate(model, data)["y"], (product + x).astype(np.float16).astype(np.float32))


def test_tensors_that_are_called_half_of_another_stay_apart() -> None:
    """A detector's `output1/half` and the estimate's own had one name, and nothing could load the model."""
    nodes = [helper.make_node("Relu", ["x"], ["y/half"]), helper.make_node("Neg", ["y/half"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph(nodes, "apart", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    np.testing.assert_array_equal(estimate(model, {"x": np.array([-1, 2], np.float32)})["y"], [0, -2])


def test_weights_out_of_range_saturate_and_results_overflow() -> None:
    model = parse("y = Mul(x, k)", constants="float k = {1e6}", inputs="float[2] x", outputs="float[2] y")
    result = estimate(model, {"x": np.array([0.5, 2], np.float32)})
    np.testing.assert_array_equal(result["y"], [32752, np.inf])


def test_the_model_that_was_given_stays_as_it_was() -> None:
    model = convolution()
    before = model.SerializeToString()
    assert names(half.half_estimate(model)) == names(model)
    assert set(ops(half.half_estimate(model))) == {"Cast", "Conv", "Relu"}
    half.activation_peaks(model)
    assert model.SerializeToString() == before


def test_integers_are_left_alone() -> None:
    model = parse("i = Cast<to=7>(x) y = Add(i, k)", constants="int64 k = {100001}", outputs="int64[2,8,6,5] y")
    data = {"x": np.full((2, 8, 6, 5), 3, np.float32)}
    assert (estimate(model, data)["y"] == 100004).all()


def test_the_estimate_of_a_convolution_is_near_but_not_equal() -> None:
    model = convolution()
    data = equality.random_inputs(model)
    found = equality.compare(equality.run(model, data), estimate(model, data))[0]
    assert 50 < found.snr_db < 90


def test_peaks_are_the_largest_magnitudes() -> None:
    model = parse("a = Mul(x, k) i = Cast<to=7>(a) y = Relu(a)", constants="float k = {-30}")
    data = feeds(model)
    result = equality.run(half.activation_peaks(model), data)
    assert list(result) == ["y", "peak:a", "peak:y"]
    assert result["peak:a"] == np.abs(30 * data["x"]).max()
    assert result["peak:y"] == result["y"].max()
    assert result["peak:a"].shape == ()


def test_overflowing_tensors_lead_to_their_nodes() -> None:
    model = convolution()
    weight = numpy_helper.to_array(model.graph.initializer[0]) * 1000
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    peaks = equality.run(half.activation_peaks(model), equality.random_inputs(model))
    nodes = half.producers(model)
    over = {node for tensor, node in nodes.items() if peaks[half.PEAK + tensor] > half.LARGEST}
    assert over == {"conv", "relu"}


def test_peaks_work_at_every_opset() -> None:
    for opset in (9, 13, 18):
        model = parse("y = Relu(x)", opset=opset)
        assert equality.run(half.activation_peaks(model), feeds(model))["peak:y"] <= 1


def test_a_model_without_floats_has_no_peaks() -> None:
    graph = helper.make_graph(
        [helper.make_node("Not", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.BOOL, [3])],
        [helper.make_tensor_value_info("y", TensorProto.BOOL, [3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    assert list(equality.run(half.activation_peaks(model), {"x": np.ones(3, bool)})) == ["y"]
    assert (~estimate(model, {"x": np.ones(3, bool)})["y"]).all()


@pytest.mark.parametrize("name", ["squeezenet1.1_fp32", "yolox_nano_416"])
def test_real_models_are_estimated(shared_data: Path, name: str) -> None:
    model = onnx.load(shared_data / "models" / f"{name}.onnx")
    data = equality.random_inputs(model)
    wanted = equality.run(model, data)
    found = equality.compare(wanted, estimate(model, data))
    peaks = equality.run(half.activation_peaks(model), data)
    assert all(item.snr_db > 35 for item in found)
    assert 100 < max(float(peak) for key, peak in peaks.items() if key.startswith(half.PEAK)) < half.LARGEST


@pytest.mark.parametrize("node", ["ReduceL2<axes=[1]>(x)", "LpNormalization<axis=1>(x)"])
def test_what_an_l2_norm_adds_up_within_itself_is_a_peak_too(node: str) -> None:
    """The norm of raw pixels is 49,000, below FP16's 65504, and the squares that it is the root of are not."""
    model = parse(f"y = {node}", inputs="float[1,200] x", outputs="float[1,n] y")
    found = half.activation_peaks(model)
    wanted = [item.name for item in found.graph.output if "squares" in item.name]
    result = equality.run(found, {"x": np.full((1, 200), 30, np.float32)}, wanted)
    assert list(result.values()) == [200 * 30 * 30]


def test_the_axis_is_given_as_the_opset_wants_it() -> None:
    model = helper.make_model(
        parse("y = LpNormalization<axis=1>(x)", inputs="float[1,4] x", outputs="float[1,4] y").graph,
        opset_imports=[helper.make_opsetid("", 20)],
    )
    model.ir_version = 9
    found = half.activation_peaks(model)
    name = found.graph.output[-1].name
    assert equality.run(found, {"x": np.full((1, 4), 2, np.float32)}, [name])[name] == 16
