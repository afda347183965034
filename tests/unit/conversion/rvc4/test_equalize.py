"""Whether channels are equalized is decided by what the quantized graph is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

from oakmill.calibration.ranges import collect
from oakmill.conversion.cache.store import Store
from oakmill.conversion.events import Progress
from oakmill.conversion.rvc4 import equalize
from oakmill.conversion.rvc4.equalize import Choice, limited
from oakmill.graph.encodings import activations
from oakmill.graph.quantize import Plan
from oakmill.spec import RangeMethod, Rvc4Spec
from oakmill.spec.recipe import EqualizationRecord
from tests.unit.conversion.preparing import prepared, samples_of
from tests.unit.graph.building import parse

SIDE = 8
UNEVEN: Sequence[float] = (0.002, 0.01, 0.1, 1.0)
EVEN: Sequence[float] = (1.0, 1.0, 1.0, 1.0)


def network(sizes: Sequence[float], *, more: str = "") -> ModelProto:
    """Conv to four channels of these sizes, SiLU, and a Conv to whose outputs each adds alike."""
    inputs = f"float[1,3,{SIDE},{SIDE}] image" + (", int32[1,4] level" if more else "")
    body = f"c = Conv(image, w1) g = Sigmoid(c) s = Mul(c, g) {more} y = Conv({'t' if more else 's'}, w2)"
    model = parse(body, inputs=inputs, outputs=f"float[1,5,{SIDE},{SIDE}] y", opset=16)
    random = np.random.default_rng(2)
    scale = np.array(sizes, np.float32)
    first = random.normal(size=(4, 3, 1, 1)).astype(np.float32) * scale.reshape(-1, 1, 1, 1) / 50
    second = random.normal(size=(5, 4, 1, 1)).astype(np.float32) / scale.reshape(1, -1, 1, 1)
    for name, values in (("w1", first), ("w2", second)):
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


NOTHING_KEPT = Store(Path(), 0)


def chosen(
    model: ModelProto, method: RangeMethod = RangeMethod.MINMAX, recorded: EqualizationRecord | None = None
) -> Choice:
    made = prepared(model)
    spec = Rvc4Spec(range_method=method)
    return equalize.choose(spec, made, Plan(), samples_of(made, 24), NOTHING_KEPT, Progress(), recorded)


def test_uneven_channels_are_equalized() -> None:
    found = chosen(network(UNEVEN))
    assert found.record is not None
    assert found.record.used
    assert found.record.after_db > found.record.before_db + 6
    assert any(name.endswith("/unscaled") for node in found.prepared.model.graph.node for name in node.output)


def test_what_wins_too_little_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equalize, "GAIN_DB", 100.0)
    found = chosen(network(UNEVEN))
    assert not any(name.endswith("/unscaled") for node in found.prepared.model.graph.node for name in node.output)
    assert not found.limits
    assert found.record is not None
    assert not found.record.used


def test_an_input_of_whole_numbers_is_fed_as_such() -> None:
    """What judged fed floats to every input, and a model with a mask or a time step could not be quantized any more."""
    more = "n = Cast<to=1>(level) k = Constant<value_ints=[1,4,1,1]>() r = Reshape(n, k) t = Mul(s, r)"
    assert chosen(network(UNEVEN, more=more)).record is not None


@pytest.mark.parametrize("used", [False, True])
def test_what_a_recipe_recorded_is_done_whatever_is_measured_here(used: bool) -> None:
    """A gain near the bar came out otherwise on another processor, and the replayed file had other bytes."""
    measured = chosen(network(UNEVEN)).record
    assert measured is not None
    recorded = measured.model_copy(update={"used": used, "before_db": 9.0, "after_db": 9.29})
    found = chosen(network(UNEVEN), recorded=recorded)
    assert found.record == recorded
    assert used == any(name.endswith("/unscaled") for node in found.prepared.model.graph.node for name in node.output)


PASSES = {
    "SiLU": network(UNEVEN),
    "Relu and a Concat": network(UNEVEN, more="u = Relu(c) v = LeakyRelu<alpha=0.2>(u) t = Add(v, v)"),
    "even": network(EVEN),
}


@pytest.mark.parametrize("kind", PASSES)
def test_one_pass_gives_the_ranges_of_the_equalized_graph(kind: str) -> None:
    """They were measured once for the channels and once more for the ranges: 10 s more for 64 images."""
    found = chosen(PASSES[kind])
    model = found.prepared.model
    assert found.ranges is not None
    ranged = activations(model)
    again = collect(model, ranged.measured, samples_of(prepared(PASSES[kind]), 24), method=RangeMethod.MINMAX)
    wanted = ranged.complete({name: (item.low, item.high) for name, item in again.items()})
    assert found.ranges.keys() == wanted.keys()
    for name, interval in wanted.items():
        np.testing.assert_allclose(found.ranges[name], interval, rtol=1e-4, atol=1e-5, err_msg=name)


def test_ranges_of_histograms_are_measured_on_the_graph_that_was_chosen() -> None:
    found = chosen(network(UNEVEN), RangeMethod.MSE)
    assert found.record is not None
    assert found.record.used
    assert found.ranges is None


def test_a_limit_cuts_a_range_and_never_turns_it_round() -> None:
    assert limited({"a": (-9.0, 4.0), "b": (9.0, 10.0)}, {"a": (-6.0, np.inf), "b": (-8.0, 8.0)}) == {
        "a": (-6.0, 4.0),
        "b": (9.0, 10.0),
    }


@pytest.mark.parametrize("sizes", [UNEVEN, EVEN])
def test_the_same_images_decide_the_same(sizes: Sequence[float]) -> None:
    assert chosen(network(sizes)).record == chosen(network(sizes)).record
