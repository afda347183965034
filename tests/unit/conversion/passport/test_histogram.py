"""The histogram of pairs loses no pair, whatever ranges come, and its diagonal is agreement."""

from __future__ import annotations

import numpy as np
import pytest

from oakmill.conversion.passport.histogram import JointHistogram, ValuePairs


def test_no_pair_is_lost_while_the_range_grows_both_ways() -> None:
    histogram = JointHistogram()
    for scale in (1e-6, 1.0, -300.0, 1e6):
        values = np.linspace(0, scale, 100)
        histogram.add(values, values)
    assert histogram.counts.sum() == 400
    assert histogram.low <= -300 and histogram.high >= 1e6
    assert histogram.pairs().near_diagonal == 1


def test_equal_values_lie_on_the_diagonal_and_others_do_not() -> None:
    histogram = JointHistogram()
    values = np.linspace(-1, 1, 1000)
    histogram.add(values, values)
    histogram.add(values, -values)
    assert 0.5 < (histogram.pairs().near_diagonal or 0) < 0.56


@pytest.mark.parametrize("values", [[np.nan, np.inf], []])
def test_what_is_not_finite_is_left_out(values: list[float]) -> None:
    histogram = JointHistogram()
    histogram.add(np.array(values, np.float64), np.array(values, np.float64))
    assert histogram.pairs() == ValuePairs()


def test_large_tensors_are_counted_in_part() -> None:
    histogram = JointHistogram()
    histogram.add(np.zeros(1_000_000), np.zeros(1_000_000))
    assert 30_000 < histogram.counts.sum() <= 65_536
