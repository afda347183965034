"""The accuracy passport: the float model against the converted one, per output, with the method beside each number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.graph.equality import decibels

FP16_LARGEST = 65504.0


class Verdict(StrEnum):
    """What the numbers mean: fit to use, look closer, or wrong."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class OutputAgreement:
    """How far one output agrees with the reference, over all images.

    `snr_db` is 10 log10(sum of reference^2 / sum of difference^2), infinite when equal; `cosine` that of the two
    outputs as vectors, over all images; `max_abs` the largest difference. `top1` is the share of images with the
    same highest score, for outputs that are one vector of scores. `worst` is the image with the lowest SNR.
    """

    name: str
    snr_db: float
    cosine: float
    max_abs: float
    worst: str
    worst_snr_db: float
    top1: float | None = None


@dataclass
class _Sums:
    reference: float = 0.0
    candidate: float = 0.0
    product: float = 0.0
    difference: float = 0.0
    max_abs: float = 0.0
    worst: str = ""
    worst_snr: float = math.inf
    images: int = 0
    same_top: int = 0
    scores: bool = True


class Comparison:
    """Adds up, image by image, how far outputs agree with a reference; keeps sums only, no outputs."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}

    def add(self, image: str, reference: Mapping[str, NDArray[Any]], candidate: Mapping[str, NDArray[Any]]) -> None:
        """Add one image's outputs, by name; the candidate's may have other shapes of the same size."""
        for name, expected in reference.items():
            self._add(self._sums.setdefault(name, _Sums()), image, expected, candidate[name])

    def _add(self, sums: _Sums, image: str, expected: NDArray[Any], found: NDArray[Any]) -> None:
        a, b = _without_equal_infinities(expected, found)
        power, noise = float(a @ a), float((a - b) @ (a - b))
        sums.reference += power
        sums.candidate += float(b @ b)
        sums.product += float(a @ b)
        sums.difference += noise
        sums.max_abs = float(np.maximum(sums.max_abs, np.abs(a - b).max(initial=0.0)))  # keeps a NaN
        sums.images += 1
        sums.scores &= expected.size == max(expected.shape, default=0) > 1
        sums.same_top += int(a.size > 0 and a.argmax() == b.argmax())
        if (snr := decibels(power, noise)) < sums.worst_snr or not sums.worst:
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
                sums.same_top / sums.images if sums.scores else None,
            )
            for name, sums in self._sums.items()
        )


def _without_equal_infinities(expected: NDArray[Any], found: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as vectors of float64, with 0 where both are NaN or the same infinity: there they agree."""
    a, b = expected.ravel().astype(np.float64), found.ravel().astype(np.float64)
    agree = ~np.isfinite(a) & ((a == b) | (np.isnan(a) & np.isnan(b)))
    return np.where(agree, 0.0, a), np.where(agree, 0.0, b)


def _cosine(sums: _Sums) -> float:
    lengths = math.sqrt(sums.reference * sums.candidate)
    return sums.product / lengths if lengths else float(sums.reference == sums.candidate)


@dataclass(frozen=True)
class Check:
    """One method, its short name, and what it found.

    An output passes with an SNR of `pass_above_db`, and fails below `fail_below_db`. Where no value differs by more
    than `resolution`, what the method's number format can tell apart around 1, it passes too: the scores of a
    detector that sees nothing are all rounding, and their SNR says nothing.
    """

    name: str
    method: str
    outputs: tuple[OutputAgreement, ...]
    pass_above_db: float
    fail_below_db: float
    resolution: float

    def verdict_on(self, output: OutputAgreement) -> Verdict:
        """Of one output; what is not a number fails."""
        if output.snr_db >= self.pass_above_db or output.max_abs <= self.resolution:
            return Verdict.PASS
        return Verdict.WARN if output.snr_db >= self.fail_below_db else Verdict.FAIL

    @property
    def verdict(self) -> Verdict:
        """The worst of its outputs'."""
        return worst_of(self.verdict_on(output) for output in self.outputs)

    def outputs_with(self, verdict: Verdict) -> tuple[OutputAgreement, ...]:
        """The outputs with that verdict."""
        return tuple(output for output in self.outputs if self.verdict_on(output) is verdict)


def worst_of(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several; pass where there are none."""
    found = set(verdicts)
    return next((verdict for verdict in (Verdict.FAIL, Verdict.WARN) if verdict in found), Verdict.PASS)


@dataclass(frozen=True)
class Overflow:
    """A tensor whose values leave the range of FP16 on some image."""

    tensor: str
    peak: float
    image: str


@dataclass(frozen=True)
class Passport:
    """The accuracy report on one converted model."""

    platform: str
    images: str
    image_names: tuple[str, ...]
    checks: tuple[Check, ...]
    overflows: tuple[Overflow, ...] = ()
    not_proven: tuple[str, ...] = ()
    reader: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The worst of the checks; an overflow of FP16 is at least a warning."""
        return worst_of([*(check.verdict for check in self.checks), *(Verdict.WARN for _ in self.overflows)])

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON; infinite and undefined numbers become null with the words beside them."""
        return {
            "passport_version": 1,
            "verdict": self.verdict.value,
            "platform": self.platform,
            "images": {
                "source": self.images,
                "count": len(self.image_names),
                "names": list(self.image_names),
            },
            "checks": [
                {
                    "name": check.name,
                    "method": check.method,
                    "verdict": check.verdict.value,
                    "pass_above_db": check.pass_above_db,
                    "fail_below_db": check.fail_below_db,
                    "resolution": check.resolution,
                    "outputs": [_plain(asdict(output)) for output in check.outputs],
                }
                for check in self.checks
            ],
            "fp16_overflows": [asdict(overflow) for overflow in self.overflows],
            "vendor_reader": dict(self.reader),
            "not_proven": list(self.not_proven),
        }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: _number(value) if isinstance(value, float) else value for key, value in values.items()}


def _number(value: float) -> float | str:
    return round(value, 6) if math.isfinite(value) else str(value)


def overflows(peaks: Iterable[tuple[str, Mapping[str, float]]]) -> tuple[Overflow, ...]:
    """The tensors beyond FP16's largest number, each with its highest peak, from (image, peak by tensor)."""
    found: dict[str, Overflow] = {}
    for image, by_tensor in peaks:
        for tensor, peak in by_tensor.items():
            if peak > FP16_LARGEST and (tensor not in found or peak > found[tensor].peak):
                found[tensor] = Overflow(tensor, peak, image)
    return tuple(found.values())
