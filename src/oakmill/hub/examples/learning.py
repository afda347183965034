"""Trains the examples' networks in seconds: hidden units between pairs of samples, and outputs by Newton's method.

A hidden unit takes a sample of one class for 0 and a sample of another for 1, so that it turns where classes part;
nothing of it is trained (Bolager et al., 2023, "Sampling weights of deep neural networks"). What reads the hidden
units is a logistic regression, or a linear one, which have one best solution each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_RIDGE = 1e-4
_ROUNDS = 12
_STEEP = 2.0
"""The slope of a hidden unit between its two samples: 0 at the one, this at the other."""


@dataclass(frozen=True)
class Layer:
    """Weights [out, in] and biases [out]."""

    weights: Floats
    bias: Floats

    def __call__(self, values: Floats) -> Floats:
        """What it makes of values [n, in]: [n, out]."""
        return values @ self.weights.T + self.bias


def hidden(samples: Floats, labels: NDArray[np.int64], units: int, random: np.random.RandomState) -> Layer:
    """Units between random pairs of samples [n, in] with other labels [n]; more often between near ones."""
    first, second = random.randint(0, len(samples), (2, units * 24))
    apart = labels[first] != labels[second]
    first, second = first[apart], second[apart]
    along = samples[second] - samples[first]
    length = np.maximum(np.sqrt(np.square(along).sum(axis=1)), 1e-6)
    chosen = random.choice(len(first), units, replace=False, p=(1 / length) / (1 / length).sum())
    weights = _STEEP * along[chosen] / np.square(length[chosen])[:, None]
    return Layer(weights.astype(np.float32), -(weights * samples[first[chosen]]).sum(axis=1).astype(np.float32))


def active(layer: Layer, samples: Floats) -> Floats:
    """The hidden units' values, none below 0."""
    return np.maximum(layer(samples), 0)


def linear(values: Floats, wanted: Floats, ridge: float = _RIDGE) -> Layer:
    """The linear map from values [n, in] to what is wanted [n, out] with the least squares of errors."""
    inputs = _with_one(values)
    both = inputs.T @ inputs + ridge * len(values) * np.eye(inputs.shape[1])
    return _layer(np.linalg.solve(both, inputs.T @ wanted))


def logistic(values: Floats, wanted: Floats, ridge: float = _RIDGE) -> Layer:
    """The logits of probabilities wanted [n, out], each by a logistic regression of its own."""
    inputs = _with_one(values)
    columns = [_newton(inputs, wanted[:, column].astype(np.float64), ridge) for column in range(wanted.shape[1])]
    return _layer(np.stack(columns, axis=1))


def _newton(inputs: NDArray[np.float64], wanted: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    found = np.zeros(inputs.shape[1])
    penalty = ridge * len(inputs) * np.eye(len(found)) * 0.01
    for _ in range(_ROUNDS):
        likely = 1 / (1 + np.exp(-np.clip(inputs @ found, -30, 30)))
        slope = inputs.T @ (likely - wanted) + penalty @ found
        bend = (inputs * (likely * (1 - likely) + 1e-6)[:, None]).T @ inputs + penalty
        found = found - np.linalg.solve(bend, slope)
    return found


def _with_one(values: Floats) -> NDArray[np.float64]:
    return np.concatenate([values, np.ones((len(values), 1), np.float32)], axis=1).astype(np.float64)


def _layer(solution: NDArray[np.floating[Any]]) -> Layer:
    return Layer(solution[:-1].T.astype(np.float32), solution[-1].astype(np.float32))
