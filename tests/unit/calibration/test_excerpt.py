from __future__ import annotations

import numpy as np
import pytest

from oakmill.calibration.excerpt import ENOUGH, excerpt, whole


@pytest.mark.parametrize("shape", [(1, 8, 80, 80), (1, 3549, 85), (70_000,), (1, 30, 30, 210), (1, 64, 23, 23)])
def test_an_excerpt_has_the_extremes_and_all_that_is_rare(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = excerpt(values, (-3.0, 3.0))
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.some.size >= ENOUGH
    if found.weight > 1:
        rare = values[(values < -3) | (values > 3)]
        np.testing.assert_array_equal(np.sort(found.rare), np.sort(rare))
        np.testing.assert_array_equal(found.twice, found.some[np.abs(found.some) > 3])


def test_every_channel_row_and_column_has_its_turn() -> None:
    places = np.indices((24, 40, 40)).astype(np.float32)
    for axis in range(3):
        found = excerpt(places[axis][None], (-1.0, 100.0))
        assert found.weight > 1
        counts = np.bincount(found.some.astype(int))
        assert counts.min() > 0.8 * counts.max()


def test_a_small_tensor_is_taken_whole() -> None:
    values = np.arange(ENOUGH, dtype=np.float32).reshape(1, 4, -1)
    assert excerpt(values, (1, 2)).some.size == ENOUGH
    scalar = whole(np.full((), 3, np.float32))
    assert (scalar.low, scalar.high, scalar.some.size) == (3, 3, 1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_shows_wherever_it_stands(wrong: float) -> None:
    for place in (0, 777, 24_999, 25_088, 25_599):
        values = np.zeros((1, 25_600), np.float32)
        values[0, place] = wrong
        for found in (excerpt(values, (0, 0)), whole(values)):
            assert not np.isfinite([found.low, found.high]).all()
