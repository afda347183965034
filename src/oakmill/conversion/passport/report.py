"""The passport itself: checks, findings, the verdict on them with its reasons, and all of it as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from oakmill.conversion.passport.agreement import OutputAgreement
from oakmill.conversion.passport.detectors import Finding
from oakmill.conversion.passport.tasks import FEW, TaskAgreement
from oakmill.conversion.passport.verdict import Verdict, worst_of

FP16_LARGEST = 65504.0
VERSION = 2


@dataclass(frozen=True)
class Check:
    """One method, its short name, and what it found.

    An output passes with an SNR of `pass_above_db`, and fails below `fail_below_db`. Where no value differs by more
    than `resolution`, what the method's number format can tell apart around 1, it passes too: the scores of a
    detector that sees nothing are all rounding, and their SNR says nothing. Where a task speaks for an output and
    could be measured, its verdict counts in place of the SNR's, which says little of whether decisions are the same.
    """

    name: str
    method: str
    outputs: tuple[OutputAgreement, ...]
    pass_above_db: float
    fail_below_db: float
    resolution: float
    tasks: tuple[TaskAgreement, ...] = ()

    def task_of(self, output: OutputAgreement) -> TaskAgreement | None:
        """The task whose verdict counts for an output."""
        found = (task for task in self.tasks if output.name in task.outputs and task.decides and task.measured)
        return next(found, None)

    def verdict_on(self, output: OutputAgreement) -> Verdict:
        """Of one output; what is not a number fails."""
        if not _finite(output):
            return Verdict.FAIL
        if task := self.task_of(output):
            return task.verdict
        if output.snr_db >= self.pass_above_db or output.max_abs <= self.resolution:
            return Verdict.PASS
        return Verdict.WARN if output.snr_db >= self.fail_below_db else Verdict.FAIL

    @property
    def verdict(self) -> Verdict:
        """The worst of its outputs' and its tasks'."""
        outputs = (self.verdict_on(output) for output in self.outputs)
        return worst_of([*outputs, *(task.verdict for task in self.tasks)])

    def outputs_with(self, verdict: Verdict) -> tuple[OutputAgreement, ...]:
        """The outputs with that verdict."""
        return tuple(output for output in self.outputs if self.verdict_on(output) is verdict)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not green, a sentence each, with its name as the source."""
        tasks = (f"{reason} by {self.name}" for task in self.tasks for reason in task.reasons)
        return (*tasks, *self.output_reasons)

    @property
    def output_reasons(self) -> tuple[str, ...]:
        """Those that lie in outputs of which no task decides."""
        found = []
        for output in self.outputs:
            if self.verdict_on(output) is Verdict.PASS or (self.task_of(output) and _finite(output)):
                continue
            found.append(f"output {output.name!r} {self._bound(output)} by {self.name}, worst on {output.worst}")
        return tuple(found)

    def _bound(self, output: OutputAgreement) -> str:
        if not _finite(output):
            return "holds values that are not numbers"
        limit = self.pass_above_db if self.verdict_on(output) is Verdict.WARN else self.fail_below_db
        words = "green is from" if self.verdict_on(output) is Verdict.WARN else "red is below"
        return f"has an SNR of {output.snr_db:.1f} dB ({words} {limit:g} dB)"

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "name": self.name,
            "method": self.method,
            "verdict": self.verdict.value,
            "pass_above_db": self.pass_above_db,
            "fail_below_db": self.fail_below_db,
            "resolution": self.resolution,
            "outputs": [
                {
                    **output.as_dict(),
                    "verdict": self.verdict_on(output).value,
                    "decided_by": "task" if self.task_of(output) else "snr",
                }
                for output in self.outputs
            ],
            "tasks": [task.as_dict() for task in self.tasks],
        }


def _finite(output: OutputAgreement) -> bool:
    """Whether no value became infinite or no number."""
    return math.isfinite(output.max_abs) and not math.isnan(output.snr_db)


@dataclass(frozen=True)
class Overflow:
    """A tensor whose values leave the range of FP16 on some image."""

    tensor: str
    peak: float
    image: str


@dataclass(frozen=True)
class Passport:
    """The accuracy report on one converted model.

    `held_out` says in words how the images were kept apart from those of the calibration, empty where nothing was
    calibrated; `calibration` tells of the latter: the set's name, the count, a digest of the list of files.
    """

    platform: str
    images: str
    image_names: tuple[str, ...]
    checks: tuple[Check, ...]
    overflows: tuple[Overflow, ...] = ()
    not_proven: tuple[str, ...] = ()
    reader: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    calibration: Mapping[str, Any] = field(default_factory=dict)
    held_out: str = ""

    @property
    def tasks(self) -> tuple[tuple[str, TaskAgreement], ...]:
        """All tasks, each with the name of the method that measured it."""
        return tuple((check.name, task) for check in self.checks for task in check.tasks)

    @property
    def verdict(self) -> Verdict:
        """The worst of the checks and the findings; an overflow of FP16 is at least a warning."""
        return worst_of(
            [
                *(check.verdict for check in self.checks),
                *(finding.level for finding in self.findings),
                *(Verdict.WARN for _ in self.overflows),
            ]
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not green, a sentence each: the findings, then what the checks measured."""
        return (
            *(f"{finding.title}: {finding.what}" for finding in self.findings if finding.level is not Verdict.PASS),
            *(reason for check in self.checks for reason in check.reasons),
            *(
                f"tensor {overflow.tensor!r} reaches {overflow.peak:.3g} on {overflow.image}, beyond FP16's 65504"
                for overflow in self.overflows
            ),
        )

    @property
    def few_images(self) -> bool:
        """Whether shares are rough for want of images."""
        return len(self.image_names) < FEW and bool(self.tasks)

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON; infinite and undefined numbers become null with the words beside them."""
        return {
            "passport_version": VERSION,
            "verdict": self.verdict.value,
            "colour": self.verdict.colour,
            "reasons": list(self.reasons),
            "platform": self.platform,
            "images": {
                "source": self.images,
                "count": len(self.image_names),
                "names": list(self.image_names),
                "held_out": self.held_out,
            },
            "calibration": dict(self.calibration),
            "checks": [check.as_dict() for check in self.checks],
            "findings": [finding.as_dict() for finding in self.findings],
            "fp16_overflows": [asdict(overflow) for overflow in self.overflows],
            "vendor_reader": dict(self.reader),
            "not_proven": list(self.not_proven),
        }


def overflows(peaks: Iterable[tuple[str, Mapping[str, float]]]) -> tuple[Overflow, ...]:
    """The tensors beyond FP16's largest number, each with its highest peak, from (image, peak by tensor)."""
    found: dict[str, Overflow] = {}
    for image, by_tensor in peaks:
        for tensor, peak in by_tensor.items():
            if peak > FP16_LARGEST and (tensor not in found or peak > found[tensor].peak):
                found[tensor] = Overflow(tensor, peak, image)
    return tuple(found.values())
