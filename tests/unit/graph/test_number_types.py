from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from oakmill.graph import equality
from oakmill.graph.number_types import in_float32, in_int32
from tests.unit.graph.building import Array, ops, parse


def kinds(model: ModelProto) -> dict[str, str]:
    """The types of inputs and outputs by name."""
    return {
        value.name: helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
        for value in (*model.graph.input, *model.graph.output)
    }


@pytest.mark.parametrize(("kind", "two", "three"), [("float16", 0x4000, 0x4200), ("double", 2, 3)])
def test_a_graph_of_other_floats_is_written_in_float32(kind: str, two: int, three: int) -> None:
    """An FP16 export could not be quantized, and its own type was mixed with float32 in FP16.

    onnx's notation has the bits of float16.
    """
    model = parse(
        f"""
        k = Constant<value = {kind} {{{two}}}>()
        f = ConstantOfShape<value = {kind}[1] {{{three}}}>(shape)
        c = Cast<to = {TensorProto.FLOAT16 if kind == "float16" else TensorProto.DOUBLE}>(ids)
        m = Mul(x, k)
        a = Add(m, f)
        y = Add(a, c)
        """,
        inputs=f"{kind}[1,4] x, int64[1,4] ids",
        outputs=f"{kind}[1,4] y",
        constants="int64[2] shape = {1, 4}",
    )
    wide = in_float32(model)
    assert kinds(wide) == {"x": "float32", "ids": "int64", "y": "float32"}
    x, ids = np.array([[1, -2, 0.5, 4]]), np.array([[0, 1, 2, 3]])
    found = equality.run(wide, {"x": x.astype("f"), "ids": ids})["y"]
    assert found.dtype == np.float32
    assert found.tolist() == [[5, 0, 6, 14]]


def test_a_branch_is_written_in_float32_too() -> None:
    model = parse(
        "y = If(on) <then_branch = g1 () => (float16[1,4] a) { a = Add(x, one) }, "
        "else_branch = g2 () => (float16[1,4] b) { b = Identity(x) }>",
        inputs="float16[1,4] x, bool on",
        outputs="float16[1,4] y",
        constants="float16 one = {15360}",
    )
    wide = in_float32(model)
    found = equality.run(wide, {"x": np.ones([1, 4], "f"), "on": np.array(True)})["y"]
    assert found.dtype == np.float32
    assert found.tolist() == [[2, 2, 2, 2]]


def test_pixels_become_floats_and_a_mask_int32() -> None:
    """Oakmill's own reversal of channels was refused on an input of uint8, and a mask of uint8 at the output."""
    model = parse(
        f"""
        t = Transpose<perm = [0, 3, 1, 2]>(x)
        f = Cast<to = {TensorProto.FLOAT}>(t)
        i = ArgMax<axis = 1>(f)
        y = Cast<to = {TensorProto.UINT8}>(i)
        """,
        inputs="uint8[1,4,4,3] x",
        outputs="uint8[1,1,4,4] y",
    )
    whole = in_int32(model)
    assert kinds(whole) == {"x": "float32", "y": "int32"}
    x = np.random.default_rng(1).integers(0, 256, [1, 4, 4, 3])
    wanted = equality.run(model, {"x": x.astype(np.uint8)})["y"]
    assert equality.run(whole, {"x": x.astype("f")})["y"].tolist() == wanted.tolist()


def test_pixels_that_are_computed_with_are_cast_first() -> None:
    model = parse(
        "b = BitwiseAnd(x, mask)  y = Concat<axis = 1>(x, b)",
        inputs="uint8[1,4] x",
        outputs="uint8[1,8] y",
        constants="uint8 mask = {15}",
        opset=18,
    )
    whole = in_int32(model)
    assert kinds(whole) == {"x": "float32", "y": "int32"}
    found = equality.run(whole, {"x": np.array([[1, 16, 17, 255]], "f")})["y"]
    assert found.tolist() == [[1, 16, 17, 255, 1, 0, 1, 15]]


@pytest.mark.parametrize("kind", ["int8", "uint16", "int16", "uint32"])
def test_other_integers_become_int32(kind: str) -> None:
    model = parse(f"y = Cast<to = {TensorProto.FLOAT}>(x)", inputs=f"{kind}[1,2] x", outputs="float[1,2] y")
    whole = in_int32(model)
    assert kinds(whole)["x"] == "int32"
    x: Array = np.array([[1, 100]], np.int32)
    assert equality.run(whole, {"x": x})["y"].tolist() == [[1, 100]]


def test_what_has_the_types_already_or_is_quantized_comes_back_as_it_is() -> None:
    plain = parse("y = Relu(x)")
    assert in_float32(plain) is plain
    assert in_int32(plain) is plain
    quantized = parse("y = QuantizeLinear(x, s)", outputs="uint8[2,8,6,5] y", constants="float s = {1}")
    assert in_int32(quantized) is quantized
    assert ops(quantized) == ["QuantizeLinear"]


def test_pixels_that_a_branch_computes_with_are_cast_for_it() -> None:
    """The branch's reading was not seen: it got floats where it adds whole numbers, and could not be run."""
    model = parse(
        """
        y = If(on) <then_branch = t () => (int32[1,4] a) { i = Cast<to = 6>(p) a = Add(i, one) },
                    else_branch = f () => (int32[1,4] b) { c = Add(p, two) b = Cast<to = 6>(c) }>
        """,
        inputs="uint8[1,4] p, bool on",
        outputs="int32[1,4] y",
        constants="int32 one = {1}, uint8 two = {2}",
    )
    plain = in_int32(model)
    pixels = np.array([[0, 1, 7, 200]], np.float32)
    for on, added in ((True, 1), (False, 2)):
        found = equality.run(plain, {"p": pixels, "on": np.array(on)})["y"]
        assert found.tolist() == (pixels + added).astype(int).tolist()


def test_the_places_that_a_pool_found_are_no_pixels() -> None:
    """A MaxPool's second output, of whole numbers, was taken for pixels, and became one of floats."""
    model = parse(
        "m, i = MaxPool<kernel_shape = [2, 2]>(x)  y = Cast<to = 1>(m)",
        inputs="uint8[1,1,2,2] x",
        outputs="float[1,1,1,1] y, int64[1,1,1,1] i",
        opset=12,
    )
    assert kinds(in_int32(model)) == {"x": "float32", "y": "float32", "i": "int64"}
