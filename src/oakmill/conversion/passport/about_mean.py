"""How much of an output changes at all: its power about its mean, which a constant offset has no part in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ENOUGH = 4
"""Images from which each value's own mean over the images is known well enough: the power about it then has a
relative standard error of 0.8 for one value, and less for all values of an output together."""
STILL = 2.5e-7
"""A change by this part of the values, two steps of float32, is rounding: such an output is a constant."""
ALIKE = 0.01
"""Where values change over the images by less than a tenth of how they differ among themselves, the images are alike,
as frames of a camera that stands still: what changes is then not what the output says."""
ALLOWED_DB = 5.0
"""What the mean may add to an SNR: what lies behind a Relu is half a normal distribution, 64 % of whose power is its
mean's, 4.4 dB. An offset that adds more hides noise."""
ALLOWED_BY_PROOF_DB = 20.0
"""The same where one graph is proved equal to another: boxes in pixels, whose sizes hardly change, add 10 dB to what
two libraries leave of float32, while a graph that is wrong has nothing about the mean."""

Floats = NDArray[np.float64]


@dataclass
class Movement:
    """Adds up an output's power about its mean, image by image; keeps two arrays of the output's size.

    All is taken relative to the first image, so that a large offset costs no digits.
    """

    images: int = 0
    _size: int = 0
    _centre: float = 0.0
    _power: float = 0.0
    _sum: float = 0.0
    _squares: float = 0.0
    _first: Floats | None = None
    _apart: Floats | None = None
    _apart_squares: float = 0.0

    def add(self, values: Floats) -> None:
        """Add one image's values [n]."""
        if self._first is None or self._apart is None:
            self._first, self._apart = values, np.zeros_like(values)
            self._size, self._centre = values.size, float(values.mean()) if values.size else 0.0
        self.images += 1
        self._power += float(values @ values)
        around, apart = values - self._centre, values - self._first
        self._sum += float(around.sum())
        self._squares += float(around @ around)
        self._apart = self._apart + apart
        self._apart_squares += float(apart @ apart)

    @property
    def power(self) -> float:
        """The lower of two: about the mean of all values, and about each value's own mean over `ENOUGH` images.

        NaN of a constant, and where a value is not finite.
        """
        overall, by_value = self._overall(), self._by_value() if self.images >= ENOUGH else 0.0
        found = [overall] + ([by_value] if by_value > ALIKE * overall else [])
        moving = [power for power in found if power > STILL**2 * self._power]
        return min(moving, default=math.nan)

    def _overall(self) -> float:
        count = self.images * self._size
        return self._squares - self._sum**2 / count if count else 0.0

    def _by_value(self) -> float:
        """The mean is taken of the same images, which hides one part in their number."""
        if self._apart is None:
            return 0.0
        within = self._apart_squares - float(self._apart @ self._apart) / self.images
        return within * self.images / (self.images - 1)
