"""Whether channels are equalized is decided by what the quantized graph is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

from oakmill.conversion.events import Progress
from oakmill.conversion.rvc4 import equalize
from oakmill.conversion.rvc4.equalize import Choice, limited
from oakmill.graph.quantize import Plan
from oakmill.spec import RangeMethod
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


def chosen(model: ModelProto) -> Choice:
    made = prepared(model)
    return equalize.choose(made, Plan(), samples_of(made, 24), RangeMethod.MINMAX, Progress())


def test_uneven_channels_are_equalized() -> None:
    found = chosen(network(UNEVEN))
    assert found.record is not None
    assert found.record.used
    assert found.record.after_db > found.record.before_db + 6
    assert any(name.endswith("/unscaled") for node in found.prepared.model.graph.node for name in node.output)


def test_what_wins_too_little_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equalize, "GAIN_DB", 100.0)
    model = network(UNEVEN)
    made = prepared(model)
    found = equalize.choose(made, Plan(), samples_of(made, 24), RangeMethod.MINMAX, Progress())
    assert found.prepared is made
    assert not found.limits
    assert found.record is not None
    assert not found.record.used


def test_an_input_of_whole_numbers_is_fed_as_such() -> None:
    """What judged fed floats to every input, and a model with a mask or a time step could not be quantized any more."""
    more = "n = Cast<to=1>(level) k = Constant<value_ints=[1,4,1,1]>() r = Reshape(n, k) t = Mul(s, r)"
    assert chosen(network(UNEVEN, more=more)).record is not None


def test_a_limit_cuts_a_range_and_never_turns_it_round() -> None:
    assert limited({"a": (-9.0, 4.0), "b": (9.0, 10.0)}, {"a": (-6.0, np.inf), "b": (-8.0, 8.0)}) == {
        "a": (-6.0, 4.0),
        "b": (9.0, 10.0),
    }


@pytest.mark.parametrize("sizes", [UNEVEN, EVEN])
def test_the_same_images_decide_the_same(sizes: Sequence[float]) -> None:
    assert chosen(network(sizes)).record == chosen(network(sizes)).record
