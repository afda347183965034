"""What is counted of an image's activations: all that is rare, and a share of what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

ENOUGH = 4096
"""Values that are counted at least of one image's tensor, if it has as many."""

_BLOCK = 512
_STRIDES = (23, 19, 17, 13, 11, 7, 5, 3)

Values = NDArray[np.float32]


def _none() -> Values:
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class Excerpt:
    """Of one tensor of one image: its extremes, some values, and all that are rare.

    Each of `some` [n] stands for `weight` values, but for those [k] that are rare and listed in `twice` too. Without
    values, only the extremes are known.
    """

    low: float
    high: float
    some: Values = field(default_factory=_none)
    weight: int = 1
    rare: Values = field(default_factory=_none)
    twice: Values = field(default_factory=_none)


def whole(values: Values) -> Excerpt:
    """All values of a tensor."""
    flat = values.reshape(-1)
    return Excerpt(float(flat.min()), float(flat.max()), flat)


def excerpt(values: Values, bounds: Sequence[float]) -> Excerpt:
    """The rare values of a tensor, those out of the bounds, and some of all; of a small tensor, all.

    The step between those is prime, and a factor of no side of the tensor, so that all its rows, columns and channels
    have their turn. The rare values are looked for in blocks whose extremes are out of the bounds.
    """
    room = values.size // ENOUGH
    step = next((step for step in _STRIDES if step <= room and all(side % step for side in values.shape)), 1)
    if step == 1:
        return whole(values)
    flat = values.reshape(-1)
    starts = np.arange(0, flat.size, _BLOCK)
    lows, highs = np.minimum.reduceat(flat, starts), np.maximum.reduceat(flat, starts)
    least, most = np.float32(bounds[0]), np.float32(bounds[1])
    suspect = (lows < least) | (highs > most)
    blocks = flat[: flat.size // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    held = np.concatenate([blocks[suspect[: len(blocks)]].reshape(-1), flat[blocks.size :]])
    some = flat[step // 2 :: step].copy()
    rare, twice = (values[(values < least) | (values > most)] for values in (held, some))
    return Excerpt(float(lows.min()), float(highs.max()), some, step, rare, twice)
