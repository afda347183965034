"""Preparing a graph goes on where a step stumbles: what it falls back to is proved again, and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxslim
import pytest
from onnx import ModelProto

from oakmill.conversion.events import Progress
from oakmill.conversion.prepare import Make, Needs, Prepared, make_anew, prepare
from oakmill.errors import PreparationFailed, ProofFailed
from oakmill.graph.skeleton import copy_of
from oakmill.model.source import SourceFormat, SourceModel, Tensor
from oakmill.spec import Rvc2Spec
from tests.unit.graph.building import ops, parse

NEEDS = Needs(highest_opset=16)
PADDED_BY_SHAPE = """
    s = Shape(x) w = Gather(s, three) d = Sub(nine, w) one = Unsqueeze(d, first)
    p = Concat<axis=0>(none, none, one, none, none, none, none, one) y = Pad(x, p)
"""
CONSTANTS = "int64 three = {3}, int64 nine = {9}, int64[1] first = {0}, int64[1] none = {0}"


def padded() -> ModelProto:
    return parse(PADDED_BY_SHAPE, inputs="float[1,4,6,5] x", constants=CONSTANTS)


def made(model: ModelProto, progress: Progress, needs: Needs = NEEDS, keep: Any = make_anew, **asked: Any) -> Prepared:
    tensors = tuple(
        Tensor(value.name, tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim), "float32")
        for value in model.graph.input
    )
    source = SourceModel(SourceFormat.ONNX, Path("model.onnx"), (), "model", "", 0, tensors, ())
    return prepare(model, source, (), Rvc2Spec(**asked), needs, progress, keep)


def wrong_pads(model: ModelProto) -> ModelProto:
    """As a simplifier that mixes up which side is padded."""
    right = next(tensor for tensor in onnxslim_slim(model).graph.initializer if list(tensor.dims) == [8])
    wrong = parse("y = Pad(x, p)", inputs="float[1,4,6,5] x")
    pads = onnx.numpy_helper.to_array(right)
    wrong.graph.initializer.append(onnx.numpy_helper.from_array(np.roll(pads, 4), "p"))
    return wrong


onnxslim_slim: Callable[[ModelProto], ModelProto] = onnxslim.slim


def test_a_simplifier_that_errs_is_found_out_and_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxslim folded an asymmetric Pad that torch makes of shapes wrongly: the proof saw it, and nothing converted."""
    monkeypatch.setattr(onnxslim, "slim", wrong_pads)
    progress = Progress()
    prepared = made(padded(), progress)
    assert ops(prepared.plain) == ["Pad"]
    assert [note for note in progress.notes if "onnxslim" in note and "'y'" in note and "onnxruntime folded" in note]


@pytest.mark.parametrize("error", [NotImplementedError("Resize with axes"), onnx.checker.ValidationError("opset 6")])
def test_a_simplifier_that_fails_does_not_end_the_conversion(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows no opset below 7, and no Resize of some axes; its own libraries raise what they like."""

    def fail(model: ModelProto) -> ModelProto:
        raise error

    monkeypatch.setattr(onnxslim, "slim", fail)
    progress = Progress()
    assert ops(made(padded(), progress).plain) == ["Pad"]
    assert [note for note in progress.notes if str(error) in note and "onnxruntime folded" in note]


def test_the_note_stays_with_the_graph_in_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second conversion takes the graph from the cache: how it was made is told again."""
    monkeypatch.setattr(onnxslim, "slim", wrong_pads)
    first = made(padded(), Progress()).plain

    def cached(fixed: ModelProto, asked: object, make: Make) -> ModelProto:
        return copy_of(first)

    progress = Progress()
    made(padded(), progress, keep=cached)
    assert [note for note in progress.notes if "onnxruntime folded" in note]


def test_what_still_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the fault is not the simplifier's, folding mends nothing, and no remedy says that it would."""

    def spoilt(model: ModelProto) -> ModelProto:
        model = copy_of(model)
        model.graph.node[0].op_type = "Neg"
        return model

    monkeypatch.setattr("oakmill.conversion.prepare.keep_names", spoilt)
    with pytest.raises(ProofFailed) as raised:
        made(parse("y = Abs(x)", inputs="float[1,4,6,5] x"), Progress())
    assert "--disable-onnx-simplification" not in raised.value.remedy


def test_left_as_it_is_a_graph_keeps_its_nodes_until_a_step_needs_a_constant() -> None:
    """Without simplification a Resize whose scales are computed could not be lowered: "computed while it runs"."""
    body = "t = Mul(two, two) s = Concat<axis=0>(t, one) y = Resize<axes=[2,3]>(x, none, s)"
    constants = "float[1] two = {2}, float[1] one = {1}, float[0] none = {}"
    model = parse(body, inputs="float[1,4,6,5] x", constants=constants, opset=19)
    progress = Progress()
    prepared = made(model, progress, disable_onnx_simplification=True)
    assert ops(prepared.plain) == ["Resize"]
    assert [note for note in progress.notes if "onnxruntime folded" in note]
    kept = made(padded(), progress := Progress(), disable_onnx_simplification=True)
    assert len(kept.plain.graph.node) == len(padded().graph.node)
    assert not [note for note in progress.notes if "folded" in note]


@pytest.mark.parametrize("off", [False, True])
def test_functions_are_simplified_once_they_are_inlined(off: bool) -> None:
    """Attention of opset 23 is a function of 76 nodes, most of them about its shapes; two of them had one name."""
    model = parse("y = Attention(x, x, x)", inputs="float[1,2,6,5] x", opset=23)
    plain = made(model, Progress(), disable_onnx_simplification=off).plain
    assert len(plain.graph.node) <= (20 if not off else 30)
    names = [node.name for node in plain.graph.node]
    assert len(set(names)) == len(names)
    assert not {"Shape", "Constant"}.intersection(ops(plain))


def test_equal_scores_in_another_order_are_proved_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A saturated heatmap: what a simplifier changes in the last bit decides which of equal scores comes first."""
    body = "r = Relu(x) c = Clip(r, low, high) f = Flatten<axis=0>(c) v, i = TopK<axis=1>(f, k)"
    constants = "float low = {0}, float high = {0.1}, int64[1] k = {7}"
    outputs = "float[1,7] v, int64[1,7] i"
    model = parse(body, inputs="float[1,3,6,5] x", outputs=outputs, constants=constants)

    def other_way_round(model: ModelProto) -> ModelProto:
        model = onnxslim_slim(model)
        model.graph.node[-1].output[1] = "order"
        model.graph.node.extend(parse("i = Gather<axis=1>(order, turn)", inputs="int64[1,7] order").graph.node)
        turn = onnx.numpy_helper.from_array(np.arange(6, -1, -1), "turn")
        model.graph.initializer.append(turn)
        return model

    monkeypatch.setattr(onnxslim, "slim", other_way_round)
    progress = Progress()
    assert "Gather" in ops(made(model, progress).plain)
    assert not [note for note in progress.notes if "folded" in note]


def test_a_broken_graph_is_still_refused() -> None:
    with pytest.raises(PreparationFailed):
        made(parse("a = Add(x, b) b = Relu(a) y = Relu(b)", inputs="float[1,4,6,5] x"), Progress())


def test_a_model_of_opset_6_is_prepared_and_told() -> None:
    """It ended with "Could not find an implementation for BatchNormalization(6)"."""
    body = "b = BatchNormalization<is_test=1>(x, s, s, s, s) y = Add<broadcast=1, axis=1>(b, s)"
    model = parse(body, inputs="float[1,4,6,5] x", constants="float[4] s = {1, 2, 3, 4}", opset=6)
    prepared = made(model, progress := Progress(), Needs(highest_opset=20, lowest_opset=13))
    assert {item.version for item in prepared.plain.opset_import} == {13}
    assert any("opset 6" in note for note in progress.notes)


FLAX = """
    x30 = Add(x, thirty) s = Mul(x30, x30) t = ReduceSum<keepdims=1>(s, axes) u = ReduceSum<keepdims=1>(x30, axes)
    a = Mul(t, share) m = Mul(u, share) b = Mul(m, m) v = Sub(a, b) w = Add(v, little) d = Sqrt(w)
    o = Sub(x30, m) y = Div(o, d)
"""
FLAX_CONSTANTS = "float thirty = {100}, float share = {0.01}, float little = {0.000001}, int64[1] axes = {3}"


def test_a_variance_that_float32_has_lost_is_no_difference() -> None:
    """Magika's norms, written as mean(x^2) - mean(x)^2, are 46 dB from themselves by float32's own rounding: with its
    variances about the mean it was refused as another network."""
    model = parse(FLAX, inputs="float[1,4,8,100] x", constants=FLAX_CONSTANTS, opset=13)
    progress = Progress()
    prepared = made(model, progress)
    assert any("computed about the mean" in note for note in progress.notes)
    assert ops(prepared.model).count("ReduceMean") == 2
