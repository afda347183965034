"""Operators written by their formulas compute what onnxruntime does."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from oakmill.errors import UnsupportedModel
from oakmill.graph import equality
from oakmill.graph.decompose import decompose
from oakmill.graph.exact import write_exactly
from oakmill.graph.formulas import FORMULAS
from tests.unit.graph.building import feeds, in_8_bits, ops, parse

CASES = {
    "Acos": ("y = Acos(x)", "", 16),
    "Acosh": ("a = Add(x, t) y = Acosh(a)", "float t = {3}", 16),
    "ArgMax, the last": ("i = ArgMax<axis=1, select_last_index=1>(r) y = Cast<to=1>(i)", "", 16),
    "ArgMin, the last": ("i = ArgMin<axis=2, select_last_index=1, keepdims=0>(r) y = Cast<to=1>(i)", "", 16),
    "Asin": ("y = Asin(x)", "", 16),
    "Asinh": ("y = Asinh(x)", "", 16),
    "Atanh": ("y = Atanh(x)", "", 16),
    "Celu": ("y = Celu<alpha=2.0>(x)", "", 16),
    "Cosh": ("y = Cosh(x)", "", 16),
    "Hardmax": ("y = Hardmax<axis=2>(x)", "", 16),
    "LpNormalization": ("y = LpNormalization<axis=1, p=1>(r)", "", 16),
    "LpNormalization of zeros": ("z = Relu(n) y = LpNormalization<axis=2>(z)", "", 16),
    "LpPool": ("y = LpPool<kernel_shape=[2,3], pads=[0,1,1,1], strides=[2,1], p=3>(x)", "", 16),
    "Mean": ("y = Mean(x, r, n)", "", 16),
    "MeanVarianceNormalization": ("y = MeanVarianceNormalization(x)", "", 16),
    "Mod of floats": ("a = Mul(x, t) y = Mod<fmod=1>(a, t)", "float t = {0.3}", 16),
    "Mod of whole numbers": (
        "a = Mul(x, t) i = Cast<to=6>(a) m = Mod(i, d) y = Cast<to=1>(m)", "float t = {50}, int32 d = {-7}", 16,
    ),
    "OneHot": ("i = Cast<to=7>(w) y = OneHot<axis=1>(i, d, v)", "int64 d = {5}, float[2] v = {-1, 2.5}", 16),
    "OneHot of fractions": ("y = OneHot<axis=1>(w, d, v)", "float d = {5}, float[2] v = {-1, 2.5}", 16),
    "PRelu": ("y = PRelu(x, r)", "", 16),
    "ReduceL1": ("y = ReduceL1<axes=[1,-1]>(x)", "", 16),
    "ReduceL2 of newer opsets": ("y = ReduceL2(x, a)", "int64[2] a = {0, -1}", 18),
    "ReduceLogSum": ("p = Abs(x) y = ReduceLogSum<axes=[1]>(p)", "", 16),
    "ReduceLogSumExp of large values": ("l = Mul(x, t) y = ReduceLogSumExp<axes=[2]>(l)", "float t = {300}", 16),
    "ReduceProd": ("y = ReduceProd<axes=[1,3]>(x)", "", 16),
    "ReduceSumSquare": ("y = ReduceSumSquare(x)", "", 16),
    "ReverseSequence": ("y = ReverseSequence<batch_axis=0, time_axis=1>(x, l)", "int64[2] l = {5, 5}", 16),
    "Shrink": ("y = Shrink<lambd=0.3, bias=0.1>(x)", "", 16),
    "Sinh": ("y = Sinh(x)", "", 16),
    "Softsign": ("y = Softsign(x)", "", 16),
}  # fmt: skip
BEFORE = "r = Round(x) n = Sub(r, two) f = Slice(x, zero, one, three) g = Squeeze(f, three) w = Mul(g, four) "
CONSTANTS = "float two = {2}, float four = {4}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] three = {3}"


@pytest.mark.parametrize("name", CASES)
def test_a_formula_computes_the_same(name: str) -> None:
    body, constants, opset = CASES[name]
    model = parse(BEFORE + body, constants=", ".join(filter(None, [CONSTANTS, constants])), opset=opset)
    data = feeds(model)
    changed = decompose(model, FORMULAS)
    assert name.split(maxsplit=1)[0].rstrip(",") not in set(ops(changed)) - {"ArgMax", "ArgMin"}
    equality.require_equal(equality.run(model, data), equality.run(changed, data), equality.Tolerance(snr_db=100))


def test_a_product_of_many_values_is_refused_by_name() -> None:
    model = parse("y = ReduceProd<axes=[1,2,3]>(x)")
    with pytest.raises(UnsupportedModel, match="multiplies more than 64 values"):
        decompose(model, ["ReduceProd"])


def test_exponents_of_little_are_cut_for_qualcomms_library() -> None:
    """On the emulated processor e^-96 came out as -131008, and Mish of -128 as 128."""
    model = parse("e = Exp(x) s = Softplus(x) m = Mish(x) a = Add(e, s) y = Add(a, m)", opset=18)
    changed = write_exactly(model)
    assert ops(changed)[:4] == ["Max", "Exp", "Max", "Softplus"]
    data = {"x": np.linspace(-128, 8, 480, dtype=np.float32).reshape(2, 8, 6, 5)}
    equality.require_equal(equality.run(model, data), equality.run(changed, data))


def test_a_hyperbolic_cosine_overflows_where_its_operator_does() -> None:
    """At 89 e^x is beyond float32 and half of it is not: the proof took a network of raw pixels for a wrong one."""
    model = parse("y = Cosh(x)", inputs="float[2] x", outputs="float[2] y")
    written = decompose(model, FORMULAS)
    image = {"x": np.array([-89.2, 89.2], np.float32)}
    found = equality.run(written, image)["y"]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, equality.run(model, image)["y"], rtol=1e-4)


@pytest.mark.parametrize("op", ["ReduceL1", "ReduceSumSquare", "ReduceLogSumExp"])
def test_a_reduction_of_a_single_number_is_over_no_axes(op: str) -> None:
    """The constant of its axes, of which there are none, was one of floats: the graph could not be loaded."""
    model = parse(f"y = {op}(x)", inputs="float x", outputs="float y", opset=18)
    data = {"x": np.array(-1.5, np.float32)}
    equality.require_equal(equality.run(model, data), equality.run(decompose(model, FORMULAS), data))


def test_a_norm_along_an_axis_that_is_not_there_is_refused_by_name() -> None:
    """A single number has no last axis: the division by its rank ended in a traceback."""
    model = parse("y = LpNormalization(x)", inputs="float x", outputs="float y")
    with pytest.raises(UnsupportedModel, match="LpNormalization 'y' is malformed"):
        decompose(model, ["LpNormalization"])


def test_neighbouring_classes_are_two_in_8_bits() -> None:
    """Their distances were floats of 8 bits: of 1000 classes, several were the one."""
    model = parse(
        "y = OneHot(i, d, v)  h = Hardmax(x)", inputs="int64[4] i, float[1,1000] x",
        outputs="float[4,1000] y, float[1,1000] h", constants="int64 d = {1000}, float[2] v = {0, 1}",
    )  # fmt: skip
    row = np.zeros([1, 1000], np.float32)
    row[0, 501] = 1
    data = {"i": np.array([0, 499, -1, -300]), "x": row}
    changed = write_exactly(model)
    assert not {"OneHot", "Hardmax"} & set(ops(changed))
    wanted, found = equality.run(model, data), in_8_bits(changed, data)
    for name in ("y", "h"):
        np.testing.assert_allclose(found[name], wanted[name], atol=0.01)


@pytest.mark.parametrize("kind", ["float", "int64"])
def test_values_of_one_hot_may_be_infinite_or_whole(kind: str) -> None:
    """A mask of attention, [-inf, 0]: times 0, it was no number."""
    body, constants = "w = OneHot(i, d, v) y = Cast<to=1>(w)", "int64 d = {4}"
    model = parse(body, inputs="int64[3] i", outputs="float[3,4] y", constants=constants)
    values = np.array([-np.inf, 0], np.float32) if kind == "float" else np.array([3, 100])
    model.graph.initializer.append(numpy_helper.from_array(values, "v"))
    data = {"i": np.array([0, 3, -2])}
    wanted = equality.run(model, data)["y"]
    for changed in (decompose(model, FORMULAS), write_exactly(model)):
        assert "OneHot" not in ops(changed)
        np.testing.assert_array_equal(equality.run(changed, data)["y"], wanted)


@pytest.mark.parametrize("kind", ["float", "int32"])
def test_a_shrink_of_infinite_and_of_whole_numbers(kind: str) -> None:
    """Infinite ones times 0 were no number; whole ones were compared with floats, which ONNX has no operator for."""
    model = parse("y = Shrink<lambd=1.5, bias=1.0>(x)", inputs=f"{kind}[5] x", outputs=f"{kind}[5] y")
    ends = [-np.inf, np.inf] if kind == "float" else [-7, 9]
    data = {"x": np.array([*ends, 0, 1, -2], np.float32 if kind == "float" else np.int32)}
    changed = write_exactly(model)
    assert "Shrink" not in ops(changed)
    np.testing.assert_array_equal(equality.run(changed, data)["y"], equality.run(model, data)["y"])
