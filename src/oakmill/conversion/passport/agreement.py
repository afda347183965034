"""How far outputs agree with those of the float model, added up image by image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport.about_mean import ALLOWED_DB, Movement
from oakmill.conversion.passport.histogram import JointHistogram, ValuePairs
from oakmill.conversion.passport.metric import Real
from oakmill.errors import VerificationFailed
from oakmill.graph.equality import decibels

Outputs = Mapping[str, NDArray[Any]]
OTHER_OUTPUTS = (
    "the vendor's tool reads a node on the way to this output otherwise than ONNX means it, often its padding: write "
    "its sizes out (pads for auto_pad or output_shape), or end the network before it (--outputs)"
)
DRAWN = 6
"""Outputs whose pairs of values are drawn: a model may have dozens."""


@dataclass(frozen=True)
class OutputAgreement:
    """How far one output agrees with the reference, over all images.

    `snr_db` is 10 log10(sum of reference^2 / sum of difference^2), infinite when equal; `cosine` that of the two
    outputs as vectors, over all images; `max_abs` the largest difference. `top1` is the share of images with the
    same highest score, for outputs that are one vector of scores. `worst` is the image with the lowest SNR. `gain` is
    the factor that brings the reference closest to the candidate; `by_image_snr_db` has each image's SNR, in
    order; `values` counts pairs of values.

    `about_mean_db` is the SNR of what changes: 10 log10(power of the reference about its mean / sum of difference^2),
    NaN of a constant (see `about_mean.Movement`). `peak` is the reference's largest magnitude. `undefined` counts the
    images on which the reference itself is not finite, `undefined_on` is the first of them.
    """

    name: str
    snr_db: Real
    cosine: Real
    max_abs: Real
    worst: str
    worst_snr_db: Real
    top1: float | None = None
    gain: Real = 1.0
    by_image_snr_db: tuple[Real, ...] = ()
    values: ValuePairs = field(default_factory=ValuePairs, compare=False, repr=False)
    about_mean_db: Real = math.nan
    peak: Real = 0.0
    undefined: int = 0
    undefined_on: str = ""

    @property
    def judged_db(self) -> float:
        """The worse of the two SNRs, where a mean may add as much as it does to any output behind a Relu."""
        return self.about_mean_db + ALLOWED_DB if self.offset_flatters else self.snr_db

    @property
    def offset_flatters(self) -> bool:
        """Whether a constant part of the values hides how large the differences are beside what changes."""
        return self.about_mean_db + ALLOWED_DB < self.snr_db

    @property
    def is_finite(self) -> bool:
        """Whether no value became infinite or no number."""
        return math.isfinite(self.max_abs) and not math.isnan(self.snr_db)


@dataclass
class _Sums:
    reference: float = 0.0
    candidate: float = 0.0
    product: float = 0.0
    difference: float = 0.0
    max_abs: float = 0.0
    worst: str = ""
    worst_snr: float = math.inf
    same_top: int = 0
    scores: bool = True
    peak: float = 0.0
    undefined: int = 0
    undefined_on: str = ""
    by_image: list[float] = field(default_factory=list)
    movement: Movement = field(default_factory=Movement)
    values: JointHistogram = field(default_factory=JointHistogram)


class Comparison:
    """Adds up, image by image, how far outputs agree with a reference; keeps sums and counts only, no outputs."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}

    def add(self, image: str, reference: Outputs, candidate: Outputs) -> None:
        """Add one image's outputs, by name; the candidate's may have other shapes of the same size.

        Raises:
            VerificationFailed: the candidate lacks an output, or has one of another size.
        """
        for name, expected in fitting(reference, candidate).items():
            self._add(self._sums.setdefault(name, _Sums()), image, np.asarray(reference[name]), expected)

    def _add(self, sums: _Sums, image: str, expected: NDArray[Any], found: NDArray[Any]) -> None:
        if not np.isfinite(expected).all():
            sums.undefined += 1
            sums.undefined_on = sums.undefined_on or image
        a, b = _without_equal_infinities(expected, found)
        power, noise = float(a @ a), float((a - b) @ (a - b))
        sums.reference += power
        sums.candidate += float(b @ b)
        sums.product += float(a @ b)
        sums.difference += noise
        sums.max_abs = float(np.maximum(sums.max_abs, np.abs(a - b).max(initial=0.0)))  # keeps a NaN
        sums.peak = float(np.maximum(sums.peak, np.abs(a).max(initial=0.0)))
        sums.movement.add(a)
        sums.scores &= expected.size == max(expected.shape, default=0) > 1
        sums.same_top += int(a.size > 0 and a.argmax() == b.argmax())
        sums.values.add(a, b)
        sums.by_image.append(snr := decibels(power, noise))
        if snr < sums.worst_snr or not sums.worst:
            sums.worst, sums.worst_snr = image, snr

    def outputs(self) -> tuple[OutputAgreement, ...]:
        """The agreement of each output."""
        return tuple(
            OutputAgreement(
                name,
                decibels(sums.reference, sums.difference),
                _cosine(sums),
                sums.max_abs,
                sums.worst,
                sums.worst_snr,
                sums.same_top / len(sums.by_image) if sums.scores else None,
                sums.product / sums.reference if sums.reference else 1.0,
                tuple(sums.by_image),
                sums.values.pairs(drawn=place < DRAWN),
                decibels(sums.movement.power, sums.difference),
                sums.peak,
                sums.undefined,
                sums.undefined_on,
            )
            for place, (name, sums) in enumerate(self._sums.items())
        )


def fitting(reference: Outputs, candidate: Outputs) -> dict[str, NDArray[Any]]:
    """The candidate's outputs in the reference's shapes and order.

    Raises:
        VerificationFailed: it lacks one, or has one of another size.
    """
    return {name: _fitting(name, np.asarray(values), candidate.get(name)) for name, values in reference.items()}


def _fitting(name: str, expected: NDArray[Any], found: Any) -> NDArray[Any]:
    if found is None:
        raise VerificationFailed(f"the converted model has no output {name!r}", subject=name, remedy=OTHER_OUTPUTS)
    values = np.asarray(found)
    if values.size != expected.size:
        raise VerificationFailed(
            f"the converted model gives output {name!r} as {list(values.shape)}, the source model as "
            f"{list(expected.shape)}",
            subject=name,
            remedy=OTHER_OUTPUTS,
        )
    return values.reshape(expected.shape)


def _without_equal_infinities(expected: NDArray[Any], found: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as vectors of float64, with 0 where both are NaN or the same infinity: there they agree."""
    a, b = expected.ravel().astype(np.float64), found.ravel().astype(np.float64)
    agree = ~np.isfinite(a) & ((a == b) | (np.isnan(a) & np.isnan(b)))
    return np.where(agree, 0.0, a), np.where(agree, 0.0, b)


def _cosine(sums: _Sums) -> float:
    lengths = math.sqrt(sums.reference * sums.candidate)
    return sums.product / lengths if lengths else float(sums.reference == sums.candidate)
