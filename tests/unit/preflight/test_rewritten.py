"""What the preflight takes for written in other operators is that, and only that."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

from oakmill.conversion.rvc2.platform import NEEDS
from oakmill.findings import Severity
from oakmill.graph.decompose import decompose
from oakmill.graph.exact import write_exactly
from oakmill.graph.quantizers import without_quantizers
from oakmill.preflight.check import Preflight
from oakmill.preflight.graph import Facts
from oakmill.preflight.rewritten import in_plain_numbers, is_quantized, rewritten
from oakmill.preflight.variants import variant_of
from oakmill.preflight.written_out import as_prepared
from tests.unit.graph.building import ops, parse

GELU = "a = Div(x, r) e = Erf(a) p = Add(e, one) m = Mul(x, p) y = Mul(m, half)"
NUMBERS = "float r = {1.4142135}, float one = {1}, float half = {0.5}"
SCALES = "float[4] s = {1, 1, 1.3, 1.3}"
WRITTEN = {
    "AveragePool": parse("y = AveragePool<kernel_shape = [3, 3], pads = [0, 0, 1, 1], strides = [2, 2]>(x)"),
    "Einsum": parse('y = Einsum<equation = "abcd,abed->abce">(x, x)'),
    "Erf": parse(GELU, constants=NUMBERS),
    "LayerNormalization": parse("y = LayerNormalization<axis = 2>(x, s)", opset=17),
    "Pad": parse('y = Pad<mode = "edge">(x, p)', constants="int64[8] p = {0, 0, 1, 2, 0, 0, 0, 3}"),
    "QuantizeLinear": parse("q = QuantizeLinear(x, half) y = DequantizeLinear(q, half)", constants=NUMBERS),
    "Resize": parse('y = Resize<mode = "linear">(x, "", s)', constants=SCALES),
}
WRITTEN["LayerNormalization"].graph.initializer.append(numpy_helper.from_array(np.ones([6, 5], np.float32), "s"))
MEASURED = {"Einsum", "Erf", "LayerNormalization"}
"""Of these the table speaks as they are written."""

OTHER = {
    "Einsum of a diagonal": parse('y = Einsum<equation = "iijk->ijk">(x)', inputs="float[3,3,4,5] x"),
    "Einsum of three": parse('y = Einsum<equation = "abcd,abcd,abcd->abcd">(x, x, x)'),
    "Erf": parse("y = Erf(x)"),
    "Pad": parse("y = Pad(x, p)", constants="int64[8] p = {0, 0, 1, 2, 0, 0, 0, 3}"),
    "Resize, bicubic": parse('y = Resize<mode = "cubic">(x, "", s)', constants=SCALES),
    "Resize by computed scales": parse('s = Relu(t) y = Resize(x, "", s)', inputs="float[2,8,6,5] x, float[4] t"),
}


def written(model: ModelProto, op: str, platform: str = "rvc4") -> bool:
    facts = Facts(model)
    return rewritten(platform, variant_of(next(node for node in model.graph.node if node.op_type == op), facts))


@pytest.mark.parametrize("op", WRITTEN)
def test_what_is_written_in_others_is_no_reason_to_refuse(op: str) -> None:
    """The table speaks of what the compiler makes of it: torch's GELU was refused for its Erf, and no transformer went.

    The graph that the compiler gets has it no longer, or in the form that comes out right.
    """
    model = WRITTEN[op]
    assert written(model, op) is (op not in MEASURED)
    assert not written(model, op, "rvc2")
    assert Preflight(model).report("rvc4").verdict is not Severity.ERROR
    assert op not in ops(write_exactly(without_quantizers(model)))


@pytest.mark.parametrize("kind", OTHER)
def test_what_stays_is_judged_by_the_table(kind: str) -> None:
    op = kind.partition(" ")[0].rstrip(",")
    assert not written(OTHER[kind], op)
    assert op in ops(write_exactly(OTHER[kind]))


LOGIC = {
    "Or": parse("y = Or(x, x)", inputs="bool[4] x", outputs="bool[4] y"),
    "Equal": parse("y = Equal(x, x)", inputs="int32[4] x", outputs="bool[4] y"),
    "Where": parse("y = Where(c, x, x)", inputs="bool[4] c, int32[4] x", outputs="int32[4] y"),
    "Clip": parse("y = Clip(x, l)", inputs="float[4] x, float l", outputs="float[4] y"),
    "ArgMax": parse("y = ArgMax<select_last_index = 1>(x)", outputs="int64[?,?,?,?] y"),
    "OneHot": parse("y = OneHot(x, d, v)", inputs="int64[4] x", constants="int64 d = {3}, float[2] v = {0, 1}"),
}


@pytest.mark.parametrize("op", LOGIC)
def test_what_is_written_in_others_for_rvc2(op: str) -> None:
    """Its compiler negates no truth value that is fed, compares no whole numbers, and reverses nothing."""
    model = LOGIC[op]
    assert written(model, op, "rvc2")
    assert Preflight(model).report("rvc2").verdict is not Severity.ERROR
    changed = ops(decompose(model, NEEDS.decompose))
    assert op not in changed or op in ("ArgMax", "Equal")


SCATTERED = {
    "OneHot": LOGIC["OneHot"],
    "ScatterND": parse(
        'y = ScatterND<reduction = "max">(x, i, u)', inputs="float[3,4] x", outputs="float[3,4] y",
        constants="int64[1,1] i = {1}, float[1,4] u = {0, 1, 2, 3}", opset=18,
    ),
}  # fmt: skip


@pytest.mark.parametrize("op", SCATTERED)
def test_what_rvc4_gets_in_other_operators_is_not_warned_of(op: str) -> None:
    """Both convert, as whole numbers that are compared and as the larger of two; check said no, or warned."""
    assert written(SCATTERED[op], op)
    assert Preflight(SCATTERED[op]).report("rvc4", "fp16").verdict is not Severity.ERROR
    assert not [item for item in Preflight(SCATTERED[op]).report("rvc4").findings if item.evidence.get("op") == op]
    assert op not in ops(write_exactly(SCATTERED[op]))


def test_a_pad_by_infinity_for_a_pool_is_not_refused() -> None:
    """TensorFlow's "same" pooling: the pool takes the pads, and check refused the Pad that was not there any more."""
    pads = "int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}, float v = {-inf}"
    body = "a = Pad(x, p, v) y = MaxPool<kernel_shape = [3, 3]>(a)"
    pooled = parse(body, constants=pads.replace("{-inf}", "{0}"))
    pooled.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array(-np.inf, np.float32), "v"))
    assert Preflight(pooled).report("rvc2").verdict is not Severity.ERROR
    other = parse(body.replace("MaxPool", "AveragePool"), constants=pads.replace("{-inf}", "{0}"))
    other.graph.initializer[1].CopyFrom(pooled.graph.initializer[1])
    assert Preflight(other).report("rvc2").verdict is Severity.ERROR


def test_the_last_state_of_an_lstm_is_asked_for_as_it_is_written() -> None:
    """RVC2's compiler drops an LSTM whose steps nothing reads, and torch's classifiers read its last state alone."""
    body = "a, y = LSTM<hidden_size = 2>(x, w, r)"
    last = parse(body, inputs="float[5,1,4] x", outputs="float[1,1,2] y")
    for name, shape in (("w", (1, 8, 4)), ("r", (1, 8, 2))):
        last.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
    assert not [item for item in Preflight(last).report("rvc2").findings if item.subject != "x"]
    cell = parse(body.replace("a, y", "a, b, y"), inputs="float[5,1,4] x", outputs="float[1,1,2] y")
    cell.graph.initializer.extend(last.graph.initializer)
    assert Preflight(cell).report("rvc2").verdict is Severity.ERROR


def test_the_last_state_of_a_sequence_whose_length_shapes_will_tell_is_none_to_refuse() -> None:
    """silero-vad's LSTM reads what is unsqueezed of a computed shape: check knew no number of steps, and refused it."""
    last = parse("s = Relu(x) a, y = LSTM<hidden_size = 2>(s, w, r)", inputs="float[T,1,4] x", outputs="float[1,1,2] y")
    node = last.graph.node[1]
    node.output[:] = ["", "y"]
    for name, shape in (("w", (1, 8, 4)), ("r", (1, 8, 2))):
        last.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
    facts = Facts(last)
    assert "last step alone" in variant_of(node, facts).parts
    assert "last step alone" not in variant_of(as_prepared(node, facts), facts).parts


def test_other_number_types_are_asked_for_as_they_are_written() -> None:
    """ "Add (fed int16, given as int16)" fails in RVC2's compiler, which gets it as int32."""
    model = parse("y = Add(x, x)", inputs="int16[4,5] x", outputs="int16[4,5] y")
    facts = Facts(model)
    asked = in_plain_numbers(variant_of(model.graph.node[0], facts))
    assert (asked.details, asked.tensors) == ("", "int32 2-D")
    assert Preflight(model).report("rvc2").verdict is not Severity.ERROR
    cast = parse("y = Cast<to=10>(x)", inputs="double[4,5] x", outputs="float16[4,5] y")
    assert in_plain_numbers(variant_of(cast.graph.node[0], Facts(cast))).words == "Cast (to the same) on float32 2-D"


def test_quantizers_keep_their_types() -> None:
    """A quantizer's output of uint8 is no int32, and pixels that are added overflow in uint8 and not in int32."""
    quantizer = parse("y = QuantizeLinear(x, s)", outputs="uint8[2,8,6,5] y", constants="float s = {0.5}")
    assert is_quantized(Facts(quantizer))
    pixels = parse("y = Add(x, x)", inputs="uint8[4,5] x", outputs="uint8[4,5] y")
    assert in_plain_numbers(variant_of(pixels.graph.node[0], Facts(pixels))).dtype == "uint8"
    assert Preflight(pixels).report("rvc2").verdict is not Severity.OK


def test_a_diagonal_that_is_fed_is_another_form() -> None:
    """Trilu and CumSum are written with a constant diagonal and axis: with one that is fed they were "yes"."""
    fed = parse("y = Trilu(x, k)", inputs="float[2,8,6,5] x, int64 k")
    assert not written(fed, "Trilu", "rvc2")
    assert Preflight(fed).report("rvc2").verdict is not Severity.OK
