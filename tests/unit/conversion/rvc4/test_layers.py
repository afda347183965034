"""Which tensors lose most by quantization: found where it was put, and put down to clipping or to rounding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ModelProto

from oakmill.conversion.passport.layers import Layers, TensorDamage
from oakmill.conversion.rvc4 import layers
from oakmill.graph.encodings import activations
from oakmill.graph.quantize import Interval, Plan, quantize
from tests.unit.graph.building import parse


class Few:
    """Images as a sample set gives them."""

    def __init__(self, *samples: Mapping[str, Any]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, place: int) -> Mapping[str, Any]:
        return self._samples[place]


def chain() -> ModelProto:
    return parse(
        "a = Sigmoid(x)  b = Mul(a, c)  d = Tanh(b)  y = Add(d, a)",
        inputs="float[1,4,8,8] x",
        constants="float[1,4,1,1] c = {1.0, 0.01, 0.01, 0.01}",
    )


def measured(ranges: Mapping[str, Interval], plain: ModelProto | None = None) -> Layers:
    model = chain()
    ranged = activations(model)
    whole = ranged.complete(dict.fromkeys(ranged.measured, (-1.0, 2.0)))
    made = quantize(model, {**whole, **ranges}, Plan(), [])
    random = np.random.default_rng(0)
    images = Few(*({"x": random.uniform(-1, 2, (1, 4, 8, 8)).astype("f")} for _ in range(3)))
    return layers.measure(model, made, [], images, plain)  # type: ignore[arg-type]


def by_name(found: Layers) -> dict[str, TensorDamage]:
    return {item.name: item for item in found.tensors}


def test_tensors_stand_in_order_and_know_what_feeds_them() -> None:
    found = measured({})
    assert [item.name for item in found.tensors] == ["x", "a", "b", "d", "y"]
    assert [item.op for item in found.tensors] == ["input", "Sigmoid", "Mul", "Tanh", "Add"]
    assert [item.feeds for item in found.tensors] == [(), (0,), (1,), (2,), (1, 3)]
    assert found.images == layers.IMAGES
    assert all(item.clipped == 0 for item in found.tensors)
    assert by_name(found)["a"].seen_high < 1


def test_what_a_range_cuts_off_is_put_down_to_clipping() -> None:
    """The Sigmoid gives 0.27 to 0.88: a range up to 0.5 loses more than its steps, here and in what comes after."""
    good, cut = by_name(measured({"a": (0.0, 0.9)})), by_name(measured({"a": (0.0, 0.5)}))
    assert cut["a"].clipped > 0.4
    assert cut["a"].clipping > 0.9
    assert cut["a"].own_db < good["a"].own_db - 20
    assert cut["y"].arrives_db < good["y"].arrives_db - 10
    assert cut["y"].own_db > cut["y"].arrives_db
    worst = [item.own_db for item in measured({"a": (0.0, 0.5)}).worst]
    assert worst == sorted(worst)


def test_small_channels_count_as_much_as_large_ones() -> None:
    """Three of four channels are a hundredth of the first, and lose their values in its steps: no SNR of the whole
    tensor shows it, which has the first one's power."""
    found = by_name(measured({"b": (0.0, 0.9)}))["b"]
    assert found.own_db < 20
    assert found.arrives_db > 35


def test_before_equalization_is_told_where_a_tensor_was_another() -> None:
    """The plain graph has a Mul by channels of unlike sizes; what was quantized, of like ones."""
    like = chain()
    like.graph.initializer[0].float_data[:] = []
    like.graph.initializer[0].raw_data = np.array([1.0, 0.9, 0.8, 0.9], "f").tobytes()
    ranged = activations(like)
    made = quantize(like, ranged.complete(dict.fromkeys(ranged.measured, (-1.0, 2.0))), Plan(), [])
    images = Few({"x": np.random.default_rng(0).uniform(-1, 2, (1, 4, 8, 8)).astype("f")})
    found = layers.measure(like, made, [], images, chain())  # type: ignore[arg-type]
    assert found.equalized
    named = by_name(found)
    assert named["b"].before_db < named["b"].own_db - 5
    assert np.isnan(named["a"].before_db)


def test_what_nothing_depends_on_is_no_loss() -> None:
    """YOLOX-nano's gates read values from -62 to 76 with a range of 8: its clipped inputs stood first among what hurts,
    though a Sigmoid makes 0 or 1 of all of them."""
    model = parse("a = Mul(x, c)  y = Sigmoid(a)", inputs="float[1,4,8,8] x", constants="float[1] c = {40.0}")
    ranged = activations(model)
    made = quantize(model, ranged.complete({"x": (-1.0, 2.0), "a": (-8.0, 8.0), "y": (0.0, 1.0)}), Plan(), [])
    images = Few({"x": np.random.default_rng(0).uniform(-1, 2, (1, 4, 8, 8)).astype("f")})
    blind = by_name(layers.measure(model, made, [], images))["a"]  # type: ignore[arg-type]
    found = by_name(layers.measure(model, made, [], images, limits={"a": (-8.0, 8.0)}))["a"]  # type: ignore[arg-type]
    assert (blind.own_db < 5, blind.clipping > 0.9, blind.idle) == (True, True, 0)
    assert (found.own_db > 35, found.clipped, found.idle > 0.7) == (True, 0, True)
    assert found.arrives_db > 30
    assert (found.seen_low, found.seen_high) == (blind.seen_low, blind.seen_high)
