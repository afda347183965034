from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper, numpy_helper

from oakmill.graph import equality
from oakmill.graph.quantizers import own_ranges, without_quantizers
from tests.unit.graph.building import ops, parse

_RANDOM = np.random.default_rng(1)
IMAGE = _RANDOM.integers(0, 256, [1, 3, 8, 8]).astype("f")
SCALES = "float s = {1}, uint8 z = {0}, float t = {2}, uint8 u = {0}"


def with_weights(model: ModelProto) -> ModelProto:
    """With int8 weights and an int32 bias, each with a scale for every channel."""
    stored = {
        "w": _RANDOM.integers(-127, 128, [4, 3, 3, 3]).astype(np.int8),
        "ws": _RANDOM.uniform(0.001, 0.002, 4).astype("f"),
        "wz": np.zeros(4, np.int8),
        "b": _RANDOM.integers(-5000, 5000, 4).astype(np.int32),
        "bz": np.zeros(4, np.int32),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in stored.items())
    return model


def quantized_network() -> ModelProto:
    """As onnxruntime quantizes a convolution with a Relu, which is left out, and a pool behind it."""
    return with_weights(
        parse(
            """
            q = QuantizeLinear(x, s, z)
            d = DequantizeLinear(q, s, z)
            wd = DequantizeLinear<axis = 0>(w, ws, wz)
            bd = DequantizeLinear<axis = 0>(b, ws, bz)
            c = Conv<pads = [1, 1, 1, 1]>(d, wd, bd)
            cq = QuantizeLinear(c, t, u)
            p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(cq)
            y = DequantizeLinear(p, t, u)
            """,
            inputs="float[1,3,8,8] x",
            constants=SCALES,
        )
    )


def test_only_the_rounding_is_lost_and_clamping_stays() -> None:
    """onnxruntime's quantizer leaves out a Relu where the number format clamps at zero: without a Clip it was gone."""
    model = quantized_network()
    bare = without_quantizers(model)
    assert not {op for op in ops(bare) if "Linear" in op}
    expected, found = (equality.run(each, {"x": IMAGE})["y"] for each in (model, bare))
    assert float(found.min()) == 0.0
    assert np.abs(found - expected).max() <= 1.0  # half a step of 2
    assert equality.snr_db(expected, found) > 30


def test_the_quantized_model_itself_is_run_in_float() -> None:
    """Integer kernels saturate sums of pairs of products on processors without VNNI: another answer on each machine."""
    model = quantized_network()
    weights, scales, bias = (
        numpy_helper.to_array(item).astype(np.float64)
        for name in ("w", "ws", "b")
        for item in model.graph.initializer
        if item.name == name
    )
    patch = IMAGE[0, :, :3, :3].astype(np.float64)
    wanted = np.einsum("ocij,cij->o", weights, patch) * scales + bias * scales
    model.graph.output[0].name = "d2"
    model.graph.node[-1].output[0] = "d2"
    model.graph.node[-1].input[0] = "cq"
    found = equality.run(model, {"x": IMAGE})["d2"][0, :, 1, 1]
    np.testing.assert_allclose(found, np.clip(np.round(wanted / 2) * 2, 0, 510), atol=2.01)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_stored_integers_that_go_in_or_out_stay_those(kind: str) -> None:
    model = parse(
        "d = DequantizeLinear(x, t, u)  r = Neg(d)  y = QuantizeLinear(r, s, z)",
        inputs=f"{kind}[1,6] x",
        outputs=f"{kind}[1,6] y",
        constants=SCALES.replace("uint8", kind),
    )
    bare = without_quantizers(model)
    assert not {op for op in ops(bare) if "Linear" in op}
    x = np.array([[0, 1, 5, 60, 100, 127]], kind)
    expected, found = (equality.run(each, {"x": x})["y"] for each in (model, bare))
    assert found.dtype == expected.dtype == np.dtype(kind)
    assert found.tolist() == expected.tolist()


def test_a_tensor_that_is_scaled_anew_between_quantizers_is_computed() -> None:
    model = parse(
        "q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, t, u)",
        inputs="float[1,4] x",
        outputs="float[1,4] y",
        constants=SCALES,
    )
    x = np.array([[0.4, 3, 100, 300]], "f")
    assert equality.run(without_quantizers(model), {"x": x})["y"].tolist() == [[0, 6, 200, 510]]


def test_quantizers_of_tensors_of_unknown_shape_are_taken_out_too() -> None:
    """Behind a Reshape by a computed shape, as mobile classifiers end: the pair stayed, and the writer of ours hung."""
    model = parse(
        """
        n = Shape(x)
        k = ConstantOfShape(one)
        shape = Concat<axis = 0>(n, k)
        r = Reshape(x, shape)
        q = QuantizeLinear(r, t, u)
        y = DequantizeLinear(q, t, u)
        """,
        inputs="float[N,M] x",
        outputs="float[?,?,?] y",
        constants=SCALES + ", int64[1] one = {1}",
    )
    model.graph.node[1].attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.ones(1, np.int64))))
    assert not {op for op in ops(without_quantizers(model)) if "Linear" in op}


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_quantized_in_blocks_become_their_numbers(axis: int) -> None:
    stored = _RANDOM.integers(-127, 128, [4, 6]).astype(np.int8)
    scale = _RANDOM.uniform(0.1, 0.2, [2, 6] if axis == 0 else [4, 3]).astype("f")
    model = parse(
        f"w = DequantizeLinear<axis = {axis}, block_size = 2>(q, s) y = MatMul(x, w)",
        inputs="float[1,4] x",
        outputs="float[1,6] y",
        opset=21,
    )
    model.graph.initializer.extend([numpy_helper.from_array(stored, "q"), numpy_helper.from_array(scale, "s")])
    x = _RANDOM.normal(size=[1, 4]).astype("f")
    expected = equality.run(model, {"x": x})["y"]
    bare = without_quantizers(model)
    assert "DequantizeLinear" not in ops(bare)
    np.testing.assert_allclose(equality.run(bare, {"x": x})["y"], expected, rtol=1e-5)


def test_a_float_model_comes_back_as_it_is() -> None:
    model = parse("y = Relu(x)")
    assert without_quantizers(model) is model


def test_stored_numbers_that_a_branch_reads_are_still_made() -> None:
    """The branch's reading was not seen: the quantizer became a Clip, and the branch read floats for bytes."""
    model = parse(
        """
        q = QuantizeLinear(x, s, z)
        d = DequantizeLinear(q, s, z)
        r = If(on) <then_branch = t () => (float[1,3,8,8] b) { b = Cast<to = 1>(q) },
                    else_branch = f () => (float[1,3,8,8] c) { c = Identity(d) }>
        y = Add(r, d)
        """,
        inputs="float[1,3,8,8] x, bool on",
        constants="float s = {2}, uint8 z = {3}",
    )
    data = {"x": IMAGE, "on": np.array(True)}
    equality.require_equal(equality.run(model, data), equality.run(without_quantizers(model), data))


def test_the_ranges_of_whole_tensors_are_known_afterwards() -> None:
    """By the Clips that are left: of a format for each channel there is none, nor of a model's own Clip."""
    bare = without_quantizers(quantized_network())
    assert own_ranges(bare, bare) == {"q": (0.0, 255.0), "cq": (0.0, 510.0)}
    other = parse("y = Clip(x, low, high)", constants="float low = {0}, float high = {6}")
    assert own_ranges(bare, other) == {}
    assert own_ranges(other, other) == {}
