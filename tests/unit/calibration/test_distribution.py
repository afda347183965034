from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from oakmill.calibration.distribution import Distribution
from oakmill.calibration.excerpt import whole
from oakmill.calibration.histogram import Histograms

Array = NDArray[np.float32]
RANDOM = np.random.default_rng(0)

SHAPES = {
    "normal": RANDOM.standard_normal(100_000),
    "relu": np.maximum(RANDOM.standard_normal(100_000), 0),
    "heavy tails": RANDOM.standard_t(2, 100_000),
    "one outlier": np.append(RANDOM.standard_normal(100_000), 100),
    "positive": RANDOM.uniform(3, 4, 100_000),
    "negative": -RANDOM.exponential(1, 100_000),
    "skewed": RANDOM.standard_normal(100_000) * 0.1 + 5,
}


def of(values: NDArray[np.floating]) -> Distribution:
    state = Histograms(1, counting=True)
    state.take([whole(values.astype(np.float32))])
    return state.distribution(0)


def error(values: NDArray[np.floating], low: float, high: float, bits: int) -> float:
    """The squared error of affine quantization as a device does it, zero being a step."""
    step = (high - low) / (2**bits - 1)
    zero = round(-low / step)
    quantized = np.clip(np.round(values / step) + zero, 0, 2**bits - 1)
    return float((((quantized - zero) * step - values) ** 2).sum())


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("bits", [4, 8])
def test_the_range_of_least_error_is_as_good_as_one_found_by_trying(name: str, bits: int) -> None:
    values = SHAPES[name]
    low, high = of(values).least_error(bits)
    assert low <= 0 <= high
    lows = [min(values.min(), 0.0) * share for share in np.linspace(0.05, 1, 20)] if values.min() < 0 else [0.0]
    highs = [max(values.max(), 0.0) * share for share in np.linspace(0.05, 1, 20)] if values.max() > 0 else [0.0]
    best = min(error(values, a, b, bits) for a in lows for b in highs)
    assert error(values, low, high, bits) <= 1.1 * best


@pytest.mark.parametrize("name", SHAPES)
def test_with_16_bits_next_to_nothing_is_cut_off(name: str) -> None:
    values = SHAPES[name]
    low, high = of(values).least_error(16)
    widest = error(values, min(values.min(), 0.0), max(values.max(), 0.0), 16)
    assert error(values, low, high, 16) <= 1.05 * widest


def test_an_outlier_is_cut_off_where_that_loses_less() -> None:
    outlier = of(SHAPES["one outlier"])
    assert outlier.percentile(99.99)[1] < 10
    assert outlier.high == 100
    assert outlier.least_error(4)[1] < 20


def test_mapping_and_joining_give_the_distribution_of_mapped_and_joined_values() -> None:
    values = SHAPES["normal"]
    silu = values / (1 + np.exp(-values))
    found = of(values).mapped(lambda x: x / (1 + np.exp(-x)))
    np.testing.assert_allclose([found.low, found.high], [silu.min(), silu.max()], atol=1e-6)
    np.testing.assert_allclose(found.percentile(99), np.quantile(silu, [0.005, 0.995]), atol=5e-3)
    both = Distribution.joined([of(values), of(SHAPES["positive"])])
    wanted = np.quantile(np.concatenate([values, SHAPES["positive"]]), [0.005, 0.995])
    np.testing.assert_allclose(both.percentile(99), wanted, atol=5e-3)


def test_extremes_alone_can_be_mapped_by_what_is_monotone() -> None:
    found = Distribution.joined([Distribution.extremes(-2, 3), Distribution.extremes(-5, 1)])
    mapped = found.mapped(lambda x: -2 * x)
    assert (found.low, found.high, mapped.low, mapped.high) == (-5, 3, -6, 10)
