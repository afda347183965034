"""Test tensors for inputs that are no image: signs, large values, rows of zeros, and whole numbers that are valid.

Wrong computing hides behind small positive numbers: a softmax that does not subtract its maximum first, a norm that
divides by the length of a row of zeros, an index that counts from the end. All is made of integers, so each machine
makes the same bytes.
"""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
from numpy.typing import NDArray

from oakmill.calibration.samples import Samples

PARTS = 256
"""Floats are whole multiples of 1/256 below 8, and of 1/8 above it: FP16 holds each of them exactly, so that a result
which is off was computed wrongly, and does not only begin from a rounded number."""
LARGE = 128
"""The largest float: e^128 is beyond float32 already, and the sum of 1,000 squares is within it."""
_SIGNED = 4


def numbers(shape: tuple[int, ...], dtype: str, limits: tuple[int, int] | None, count: int, seed: int) -> Samples:
    """Samples for an input that is no image.

    Args:
        shape: of each tensor.
        dtype: numpy's name of the input's type.
        limits: of whole numbers, the first that is valid and the first that is no longer; None where it is not known
            which are: then 0 and 1, valid as index, mask and length alike, the first sample all 0.
        count: how many; the tensor at an index does not depend on it.
        seed: of the whole series.
    """
    read = partial(_whole, shape, dtype, limits, seed) if np.dtype(dtype).kind in "iub" else partial(_real, shape, seed)
    digests = tuple(hashlib.sha256(read(index).tobytes()).hexdigest() for index in range(count))
    return Samples("generated", tuple(f"generated-{index}" for index in range(count)), digests, read)


def _whole(
    shape: tuple[int, ...], dtype: str, limits: tuple[int, int] | None, seed: int, index: int
) -> NDArray[np.generic]:
    random = np.random.RandomState([seed, index])
    low, high = limits or (0, 2 if index or dtype == "bool" else 1)
    return np.asarray(random.randint(low, high, shape)).astype(dtype)


def _real(shape: tuple[int, ...], seed: int, index: int) -> NDArray[np.generic]:
    """From 0 to below 1 in every other sample; else signed, with a row of large values and one of zeros.

    The last of eight is all zeros: a norm may be along any axis. Where there is one row only, the others take turns:
    signed, large, signed.
    """
    random = np.random.RandomState([seed, index])
    unit = random.randint(0, PARTS, shape) / PARTS
    if index % 2 == 0:
        return unit.astype(np.float32)
    signed = (unit * 2 - 1) * _SIGNED
    large = np.asarray(random.randint(-LARGE * 8, LARGE * 8 + 1, shape)) / 8
    rows = signed.reshape(-1, shape[-1]) if shape else signed.reshape(1, 1)
    if index % 8 == 7:
        rows[:] = 0
    elif len(rows) > 2:
        rows[1] = large.reshape(rows.shape)[1]
        rows[2] = 0
    elif index % 4 == 3:
        rows[:] = large.reshape(rows.shape)
    return rows.reshape(shape).astype(np.float32)
