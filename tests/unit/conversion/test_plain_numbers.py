from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from oakmill.conversion.events import Progress
from oakmill.conversion.plain_numbers import in_plain_numbers
from oakmill.errors import ProofFailed
from tests.unit.graph.building import parse


def test_a_float_model_is_told_nothing_of() -> None:
    progress = Progress()
    model = parse("y = Relu(x)")
    assert in_plain_numbers(model, progress, quantizes=True) is model
    assert not progress.notes + progress.warnings


def test_each_change_is_told() -> None:
    progress = Progress()
    model = parse(
        f"""
        h = Cast<to = {TensorProto.FLOAT}>(x)
        q = QuantizeLinear(h, s)
        d = DequantizeLinear(q, s)
        y = Cast<to = {TensorProto.UINT8}>(d)
        size = Shape(x)
        anchors = Cast<to = 1>(size)
        """,
        inputs="float16[1,4] x",
        outputs="uint8[1,4] y, float[2] anchors",
        constants="float s = {0.5}",
    )
    changed = in_plain_numbers(model, progress, quantizes=True)
    assert changed.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert changed.graph.output[0].type.tensor_type.elem_type == TensorProto.INT32
    notes = " / ".join(progress.notes)
    assert "'anchors' is the same whatever comes in" in progress.warnings[0]
    assert "written as float32" in notes
    assert "own quantizers are left out" in notes
    assert "written as int32" in notes


def test_quantizers_that_change_the_result_a_lot_are_a_warning() -> None:
    progress = Progress()
    model = parse(
        "q = QuantizeLinear(x, s)  d = DequantizeLinear(q, s)  y = Relu(d)",
        inputs="float[1,64] x",
        outputs="float[1,64] y",
        constants="float s = {2}",
    )
    in_plain_numbers(model, progress, quantizes=True)
    assert "changes its results a lot: output 'y'" in progress.warnings[0]


def test_a_model_that_counts_on_its_narrow_integers_is_refused() -> None:
    """255 + 1 is 0 in uint8, and 256 in int32: what is not the same is never converted."""
    model = parse("y = Add(x, k)", inputs="uint8[1,4096] x", outputs="uint8[1,4096] y", opset=14)
    model.graph.initializer.append(numpy_helper.from_array(np.full([1, 4096], 200, np.uint8), "k"))
    with pytest.raises(ProofFailed, match="written in other number types"):
        in_plain_numbers(model, Progress(), quantizes=True)


def test_what_overflows_in_float16_already_is_no_difference() -> None:
    model = parse(
        "m = Mul(x, k)  y = Mul(m, k)",
        inputs="float16[1,4] x",
        outputs="float16[1,4] y",
        constants="float16 k = {31743}",  # the bits of 65504
    )
    assert in_plain_numbers(model, Progress(), quantizes=True) is not model
