"""The judge of --accuracy-control compares with the float network alone, and knows when its time is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oakmill.toolchains.rvc3.runner.common import Samples
from oakmill.toolchains.rvc3.runner.judge import Judge, agreement

Network = Callable[[dict[str, Any]], dict[str, Any]]
ROW = np.array([[1.0, 5, 2, 0, 3]])


@pytest.mark.parametrize(
    ("found", "score"),
    [
        (ROW, 1.0),
        (ROW * 3 + 1, 1.0),
        (-ROW, 0.0),
        (np.full_like(ROW, np.nan), 0.0),
        (np.zeros_like(ROW), 0.0),
    ],
    ids=["equal", "scaled", "turned round", "no numbers", "nothing moves"],
)
def test_a_row_of_scores_agrees_by_correlation_and_by_its_highest(found: Any, score: float) -> None:
    assert agreement(ROW, found) == pytest.approx(score)


def test_another_winner_costs_half() -> None:
    close = ROW.copy()
    close[0, 4] = 5.1
    assert 0.3 < agreement(ROW, close) < 0.5
    assert agreement(ROW.reshape(5, 1, 1).repeat(2, 1), close.reshape(5, 1, 1).repeat(2, 1)) > 0.5


def test_a_plain_map_agrees_with_an_equal_one_only() -> None:
    assert agreement(np.ones((2, 2)), np.ones((2, 2))) == 1
    assert agreement(np.ones((2, 2)), np.zeros((2, 2))) == 0


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(6, 1, 8)).astype(np.float32))
    return Samples({"x": str(tmp_path / "x.npy")}, 4, lambda index: None)


def network(factor: float) -> Network:
    return lambda sample: {"y": sample["x"] + factor * np.arange(8)}


def test_the_float_network_is_the_measure(samples: Samples) -> None:
    made = Judge(network(0), samples, [4, 5], 60)
    assert made(network(0), [4, 5])[0] == pytest.approx(1)
    score, each = made(network(1), [4, 5])
    assert score < 0.95
    assert len(each) == 2
    assert made.before == score
    assert not made.late


def test_out_of_time_everything_is_good_enough_and_still_measured_truly(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    made = Judge(network(0), samples, [4, 5], 10)
    now[0] = 1000.0  # the quantization itself is not counted
    assert made(network(1), [4, 5])[0] < 0.95
    now[0] = 1011.0
    assert made(network(1), [4, 5]) == (1.0, [1.0, 1.0])
    assert made.late
    assert made.measure(network(1), [4, 5])[0] < 0.95
