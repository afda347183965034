from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from oakmill.calibration.excerpt import ENOUGH, excerpt, whole
from oakmill.calibration.histogram import BINS, FIRST, Histograms


def counted(images: Sequence[NDArray[np.floating]]) -> Histograms:
    state = Histograms(1, counting=True)
    for image in images:
        state.take([whole(np.asarray(image, np.float32))])
    return state


def quantiles(state: Histograms, *percents: float) -> list[tuple[float, float]]:
    return [state.distribution(0).percentile(percent) for percent in percents]


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e6, 1e37])
def test_quantiles_are_those_of_all_values_to_a_bin(scale: float) -> None:
    random = np.random.default_rng(0)
    images = [(random.standard_normal(20_000) * scale * (1 + image % 5)).astype(np.float32) for image in range(12)]
    state, values = counted(images), np.concatenate(images).astype(np.float64)
    width = (values.max() - values.min()) * 2 / BINS
    for percent, (low, high) in zip((99.9, 90.0), quantiles(counted(images), 99.9, 90.0), strict=True):
        wanted = np.quantile(values, [(100 - percent) / 200, 1 - (100 - percent) / 200])
        np.testing.assert_allclose([low, high], wanted, atol=2 * width, rtol=0)
    found = state.distribution(0)
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.count.sum() == values.size


@pytest.mark.parametrize("factors", [(1, 2, 1000), (1000, 1, 1), (1e-6, 1, 1e6), (-1, 1, -50, 70)])
def test_a_growing_range_keeps_every_count(factors: tuple[float, ...]) -> None:
    base = np.linspace(0.1, 1, 5000, dtype=np.float32)
    state = counted([base * np.float32(factor) for factor in factors])
    found = state.distribution(0)
    assert found.count.sum() == 5000 * len(factors)
    assert found.low == pytest.approx(min(np.float32(f) * v for f in factors for v in (np.float32(0.1), 1)))
    assert (found.left <= found.right).all()


def test_constants_and_zeros_have_a_range_of_no_width() -> None:
    for value in (0.0, -3.5, 1e-38, 3e38):
        found = counted([np.full(100, value), np.full(100, value)]).distribution(0)
        assert found.low == found.high == np.float32(value)
        assert found.percentile() == (found.low, found.high)
        assert found.least_error(8) == (min(found.low, 0.0), max(found.high, 0.0))


def test_a_constant_at_first_is_no_obstacle() -> None:
    values = np.linspace(-1, 1, 100_001, dtype=np.float32)
    found = counted([np.zeros(10), values]).distribution(0)
    assert found.count.sum() == 100_011
    low, high = found.percentile(90)
    assert (low, high) == pytest.approx((-0.9, 0.9), abs=1e-3)


def test_the_widest_range_of_float32_is_counted_without_overflow() -> None:
    found = counted([np.array([-3e38, 0, 3e38])] * 3).distribution(0)
    assert found.count.sum() == 9


def test_rare_values_are_all_counted_and_common_ones_in_part() -> None:
    random = np.random.default_rng(1)
    images = [random.laplace(size=(1, 16, 64, 64)).astype(np.float32) ** 3 for _ in range(FIRST + 20)]
    state = Histograms(1, counting=True)
    for image in images:
        seen = whole(image) if state.images < FIRST else excerpt(image, state.common[0])
        state.take([seen])
    assert ENOUGH <= seen.some.size < image.size / 5
    values = np.concatenate([image.ravel() for image in images])
    found = state.distribution(0)
    assert found.count.sum() == pytest.approx(values.size, rel=1e-3)
    low, high = state.common[0]
    beyond = found.count[(found.left >= high) | (found.right <= low)].sum()
    assert beyond == np.count_nonzero((values > high) | (values < low))
    np.testing.assert_allclose(found.percentile(99.999), np.quantile(values, [5e-6, 1 - 5e-6]), rtol=0.05)


def test_state_can_be_saved_and_restored_at_any_image() -> None:
    random = np.random.default_rng(2)
    images = [random.standard_normal((1, 4, 64, 64)).astype(np.float32) * (1 + i) for i in range(8)]
    straight = counted(images)
    for stop in (1, FIRST, 6):
        resumed = Histograms(1, counting=True)
        resumed.restore({name: array.copy() for name, array in counted(images[:stop]).state().items()})
        for image in images[stop:]:
            resumed.take([whole(image)])
        for name, array in straight.state().items():
            np.testing.assert_array_equal(resumed.state()[name], array, name)


def test_a_state_of_other_tensors_is_refused() -> None:
    with pytest.raises(ValueError, match="low is not as it was saved"):
        Histograms(2, counting=True).restore(counted([np.ones(3)]).state())
    with pytest.raises(ValueError, match="counts"):
        Histograms(1, counting=False).restore(counted([np.ones(3)]).state())


def test_extremes_alone_take_no_memory_for_bins() -> None:
    state = Histograms(100_000, counting=False)
    assert state.state()["counts"].nbytes == 0
