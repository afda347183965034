from __future__ import annotations

import math

import numpy as np
import pytest
from onnx import ModelProto

from oakmill.graph import equality
from oakmill.graph.sensitivity import ColumnNoise, encoding, with_all_rounded, with_rounded, with_steps_as_inputs
from tests.unit.graph.building import Array, names, parse

INTERVAL = (-0.9, 1.3)


def rounded(values: Array, interval: tuple[float, float], bits: int = 8) -> Array:
    """Quantized and dequantized as ONNX defines it: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html."""
    steps = (1 << bits) - 1
    low, high = min(interval[0], 0), max(interval[1], 0)
    scale = np.float32(max(high - low, 1e-4) / steps)
    zero = round(-low / (max(high - low, 1e-4) / steps))
    stored = np.clip(np.rint(values.astype(np.float32) / scale) + zero, 0, steps)
    real: Array = ((stored - zero) * scale).astype(np.float32)
    return real


def model(outputs: str = "float[4] y") -> ModelProto:
    """x -> e = exp(x), of which both a sum and a product are made: y = (e + e) * e."""
    return parse("e = Exp (x) s = Add (e, e) y = Mul (s, e)", inputs="float[4] x", outputs=outputs)


X = np.array([-0.7, 0.1, 0.25, -0.05], np.float32)


@pytest.mark.parametrize("bits", [8, 16])
def test_an_input_is_rounded_before_all_that_reads_it(bits: int) -> None:
    found = equality.run(with_rounded(model(), "x", INTERVAL, bits), {"x": X})["y"]
    e = np.exp(rounded(X, INTERVAL, bits))
    np.testing.assert_allclose(found, (e + e) * e, rtol=1e-5)


@pytest.mark.parametrize("bits", [8, 16])
def test_an_inner_tensor_is_rounded_for_each_of_its_readers(bits: int) -> None:
    found = equality.run(with_rounded(model(), "e", INTERVAL, bits), {"x": X})["y"]
    e = rounded(np.exp(X), INTERVAL, bits)
    np.testing.assert_allclose(found, (e + e) * e, rtol=1e-5)


@pytest.mark.parametrize("bits", [8, 16])
def test_an_output_goes_out_rounded_under_its_own_name(bits: int) -> None:
    changed = with_rounded(model(), "y", (0, 2.5), bits)
    assert names(changed) == (["x"], ["y"])
    e = np.exp(X)
    np.testing.assert_allclose(equality.run(changed, {"x": X})["y"], rounded((e + e) * e, (0, 2.5), bits), rtol=1e-5)


def test_an_output_that_others_read_is_rounded_for_them_too() -> None:
    changed = with_rounded(model("float[4] e, float[4] y"), "e", INTERVAL)
    found = equality.run(changed, {"x": X})
    e = rounded(np.exp(X), INTERVAL)
    np.testing.assert_allclose(found["e"], e, rtol=1e-6)
    np.testing.assert_allclose(found["y"], (e + e) * e, rtol=1e-5)


def test_nothing_else_changes_and_the_model_itself_stays() -> None:
    original = model()
    before = original.SerializeToString(deterministic=True)
    with_rounded(original, "s", INTERVAL)
    assert original.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("interval", "bits", "scale", "zero"),
    [
        ((0, 255), 8, 1.0, 0),
        ((-1, 1), 16, 2 / 65535, 32768),
        ((3, 5.1), 8, 0.02, 0),  # widened to hold zero
        ((-5.1, -3), 8, 0.02, 255),
        ((0, 0), 8, 1e-4 / 255, 0),
    ],
)
def test_the_grid_holds_the_interval_and_zero(
    interval: tuple[float, float], bits: int, scale: float, zero: int
) -> None:
    found = encoding(interval, bits)
    assert found[0] == pytest.approx(scale)
    assert found[1] == zero


# noise


def decibels(reference: Array, candidate: Array) -> float:
    noise = ColumnNoise()
    noise.add({"y": reference}, {"y": candidate})
    return noise.decibels()


def boxes(count: int = 50) -> Array:
    """[1, count, 6]: edges up to 640, and scores up to 1."""
    random = np.random.default_rng(0)
    found = random.uniform(0, 640, (1, count, 6))
    found[..., 4:] = random.uniform(0, 1, (1, count, 2))
    return found.astype(np.float32)


def test_small_columns_are_seen_beside_large_ones() -> None:
    """Scores that are gone leave 60 dB by a ratio over all values, for the boxes beside them are large."""
    reference = boxes()
    lost = reference.copy()
    lost[..., 4:] = 0
    assert equality.snr_db(reference, lost) > 50
    assert decibels(reference, lost) < 6
    assert decibels(reference, reference + np.float32(0.001)) > 30


def test_columns_lie_along_either_axis() -> None:
    reference = boxes()
    lost = reference.copy()
    lost[..., 5] = 0
    turned = decibels(reference.transpose(0, 2, 1), lost.transpose(0, 2, 1))
    assert turned == pytest.approx(decibels(reference, lost))
    assert turned == pytest.approx(-10 * math.log10(1 / 6), abs=0.5)


def test_scores_near_nothing_do_not_count() -> None:
    reference = np.full((1, 50, 4), 1e-5, np.float32)
    assert decibels(reference, np.zeros_like(reference)) > 50


def test_several_images_count_together() -> None:
    noise = ColumnNoise()
    first, second = boxes(), boxes()[:, ::-1]
    noise.add({"y": first}, {"y": first})
    noise.add({"y": second}, {"y": second + np.float32(0.5)})
    alone = decibels(second, second + np.float32(0.5))
    assert alone < noise.decibels() < alone + 4


def test_equal_outputs_have_no_noise() -> None:
    assert decibels(boxes(), boxes()) == math.inf
    assert ColumnNoise().decibels() == math.inf


def test_of_classes_the_share_that_differs_counts() -> None:
    """An output of integers was passed over, so that a network with ArgMax at its end seemed perfect in any format."""
    reference = np.arange(1000, dtype=np.int32).reshape(1, 10, 100)
    wrong = reference.copy()
    wrong[0, 3, :10] += 1
    assert decibels(reference, wrong) == pytest.approx(-10 * math.log10(10 / 1000), abs=0.1)


def test_what_is_not_a_number_is_the_worst_and_not_the_best() -> None:
    candidate = boxes()
    candidate[0, 3] = np.nan
    assert decibels(boxes(), candidate) == pytest.approx(0, abs=0.1)
    candidate[0, 3] = np.inf
    assert decibels(boxes(), candidate) == pytest.approx(0, abs=0.1)


def test_one_vector_is_one_column() -> None:
    reference = np.array([[100, 1, 1, 1]], np.float32)
    assert decibels(reference, reference + np.array([[0, 1, 0, 0]], np.float32)) == pytest.approx(40, abs=0.1)


@pytest.mark.parametrize("bits", [8, 16])
def test_one_graph_tries_any_ranges(bits: int) -> None:
    """A session for each choice of ranges took longer to load than to run."""
    names_ = ["x", "e", "s"]
    made, inputs = with_steps_as_inputs(model(), names_, dict.fromkeys(names_, bits))
    session = equality.Session(made)
    kind = np.uint8 if bits == 8 else np.uint16
    for intervals in ({"x": INTERVAL, "e": (0.0, 4.0), "s": (0.0, 7.0)}, {"x": (-1, 2), "e": (0.0, 2.0), "s": (-1, 3)}):
        feeds: dict[str, Array] = {"x": X}
        for name, (scale, zero) in inputs.items():
            step, middle = encoding(intervals[name], bits)
            feeds |= {scale: np.array(step, np.float32), zero: np.array(middle, kind)}
        wanted = equality.run(with_all_rounded(model(), intervals, dict.fromkeys(names_, bits)), {"x": X})
        np.testing.assert_allclose(session.run(feeds)["y"], wanted["y"], rtol=1e-6)


def test_outputs_whose_shape_hangs_on_values_are_compared() -> None:
    """A network with NonZero ended in numpy's words when the first judge of a quantized graph looked at it."""
    noise = ColumnNoise()
    for count in (3, 5):
        noise.add({"found": np.zeros((4, count), np.int64)}, {"found": np.zeros((4, count), np.int64)})
    assert noise.decibels() == math.inf
    noise.add({"found": np.ones((4, 3), np.int64)}, {"found": np.ones((4, 7), np.int64)})
    assert noise.decibels() < 10
