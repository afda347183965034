"""What quantization does along a network, tensor by tensor: rows of a passport."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from oakmill.conversion.passport.bounds import QUANTIZED
from oakmill.conversion.passport.metric import Measured, Real
from oakmill.findings import Severity

MOST = 12
"""Tensors that are listed: those that their own rounding hurts most."""

Part = Literal["arrives", "own"]


@dataclass(frozen=True)
class TensorDamage:
    """One quantized tensor, and the operation that makes it.

    `low` and `high` are what its `bits` can hold, `seen_low` and `seen_high` what the float graph gives on the images.
    `arrives_db` is signal over noise of the tensor in the quantized graph against the float one: all damage until here.
    `own_db` is that of rounding and clipping this tensor alone, the mean over its channels, each of which counts as one
    however small its values are. `clipped` is the share of values beyond the range, `clipping` the share of its own
    noise that they make. `idle` is the share of values so far out that they make no difference to what comes behind,
    as the input of a Sigmoid: they count as nothing lost. `before_db` is `own_db` of the same tensor before its
    channels were equalized, over its whole range; none where nothing was. `feeds` are the places of the tensors that it
    is computed from.
    """

    name: str
    op: str
    bits: int
    low: float
    high: float
    seen_low: float
    seen_high: float
    arrives_db: Real
    own_db: Real
    clipped: float = 0.0
    clipping: float = 0.0
    idle: float = 0.0
    before_db: Measured = math.nan
    feeds: tuple[int, ...] = ()

    def severity(self, part: Part) -> Severity:
        """By the bounds of an output, which a tensor within is not judged by: it is shown only."""
        value = self.arrives_db if part == "arrives" else self.own_db
        if value >= QUANTIZED.ok_from_db:
            return Severity.OK
        return Severity.WARNING if value >= QUANTIZED.error_below_db else Severity.ERROR

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.name} ({self.op}): {self.arrives_db:.1f} dB arrive, its own rounding leaves {self.own_db:.1f} dB"


@dataclass(frozen=True)
class Layers:
    """All quantized tensors in the order of the network, and on how many of the test images they were looked at."""

    images: int
    tensors: tuple[TensorDamage, ...]

    @property
    def worst(self) -> tuple[TensorDamage, ...]:
        """Those that their own rounding hurts most, the worst first."""
        return tuple(sorted(self.tensors, key=lambda item: item.own_db))[:MOST]

    @property
    def equalized(self) -> bool:
        """Whether it is known how tensors were before their channels were equalized."""
        return any(math.isfinite(item.before_db) for item in self.tensors)
