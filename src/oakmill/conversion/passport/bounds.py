"""What an SNR means: the bounds that make an output ok, worth a look, or an error, for each kind of arithmetic."""

from __future__ import annotations

from typing import NamedTuple


class Bounds(NamedTuple):
    """What an output's SNR means where no task decides: ok from, an error below, in dB.

    `resolution` is what the method's number format can tell apart around 1: smaller differences count as none.
    `rounding` is the same as a part of an output's largest value, of methods that prove a graph equal: there a large
    offset's own rounding is no difference, while accuracy is another method's to judge.
    """

    ok_from_db: float
    error_below_db: float
    resolution: float = 0.0
    rounding: float = 0.0


QUANTIZED = Bounds(25.0, 15.0)
"""From 25 dB the noise is a twentieth of the signal, and 8 bits alone over a range that is used well leave 35 to 50.
At 15 dB it is a sixth, which no output bears."""
HALF = Bounds(30.0, 15.0, 2**-11)
"""Of FP16, whose steps around 1 are 2^-11."""


PROVEN = 2e-6
"""Some 16 steps of float32 at an output's largest value: what sums in another order leave."""
PROVEN_HALF = 2**-11
"""A step of FP16 there: what weights that are stored so leave of a large offset."""
