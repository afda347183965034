"""The passport itself: checks, findings, the verdict on them with its reasons, and all of it as plain data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from oakmill.conversion.passport import earlier
from oakmill.conversion.passport.about_mean import ALLOWED_BY_PROOF_DB, ALLOWED_DB
from oakmill.conversion.passport.agreement import OutputAgreement
from oakmill.conversion.passport.cost import Cost
from oakmill.conversion.passport.labelled import Accuracy
from oakmill.conversion.passport.ladder import Rung
from oakmill.conversion.passport.layers import Layers
from oakmill.conversion.passport.metric import Real
from oakmill.conversion.passport.parsers import ParserAgreement
from oakmill.conversion.passport.pixels import DataUrl
from oakmill.conversion.passport.tasks import FEW, ShownImage, TaskAgreement
from oakmill.devices import Benchmark, Identity
from oakmill.findings import Finding, Severity, worst_of

FP16_LARGEST = 65504.0
VERSION = 3


@dataclass(frozen=True)
class Check:
    """One method, its short name, and what it found.

    An output is ok with an SNR of `ok_from_db`, and an error below `error_below_db`; of the SNR and the one about the
    mean the worse counts. Where no value differs by more than `resolution`, what the method's number format can tell
    apart around 1, or by `rounding` of the output's largest value, it is ok too: the scores of a detector that sees
    nothing are all rounding, and their SNR says nothing. Where a task speaks for an output for certain and could be
    measured, its verdict counts in place of the SNR's, which says little of whether decisions are the same; one that
    is guessed from shapes alone adds its verdict. A map on which nobody shows anything is no error. `accuracies` are
    what labels say, which a bar of the user's judges.
    """

    name: str
    method: str
    outputs: tuple[OutputAgreement, ...]
    ok_from_db: float
    error_below_db: float
    resolution: float = 0.0
    tasks: tuple[TaskAgreement, ...] = ()
    rounding: float = 0.0
    accuracies: tuple[Accuracy, ...] = ()

    def task_of(self, output: OutputAgreement) -> TaskAgreement | None:
        """The task whose verdict counts for an output in place of its SNR's."""
        found = (task for task in self.tasks if output.name in task.outputs and task.replaces_snr)
        return next(found, None)

    def _is_rounding(self, output: OutputAgreement) -> bool:
        return output.max_abs <= max(self.resolution, self.rounding * output.peak)

    def verdict_on(self, output: OutputAgreement) -> Severity:
        """Of one output; what is not a number is an error."""
        if not output.is_finite:
            return Severity.ERROR
        if task := self.task_of(output):
            return task.verdict
        judged = output.about_mean_db + self._allowed if self.is_flattered(output) else output.snr_db
        if judged >= self.ok_from_db or self._is_rounding(output):
            return Severity.OK
        return Severity.WARNING if judged >= self.error_below_db or self._is_of_nothing(output) else Severity.ERROR

    def _is_of_nothing(self, output: OutputAgreement) -> bool:
        """Whether it is a map on which neither model shows anything, as of text where there is none: so its SNR is of
        values near 0, and the images do not tell."""
        tasks = (task for task in self.tasks if output.name in task.outputs)
        return any(task.kind == "segmentation" and task.decides and not task.measured for task in tasks)

    def is_flattered(self, output: OutputAgreement) -> bool:
        """Whether a constant part hides how large the differences are beside what changes."""
        return output.about_mean_db + self._allowed < output.snr_db

    @property
    def _allowed(self) -> float:
        """What a constant part may add: more where a graph is proved equal, as accuracy is other methods' to judge."""
        return ALLOWED_BY_PROOF_DB if self.rounding else ALLOWED_DB

    @property
    def verdict(self) -> Severity:
        """The worst of its outputs' and its tasks'."""
        outputs = (self.verdict_on(output) for output in self.outputs)
        return worst_of([*outputs, *(task.verdict for task in self.tasks)])

    def outputs_with(self, verdict: Severity) -> tuple[OutputAgreement, ...]:
        """The outputs with that verdict."""
        return tuple(output for output in self.outputs if self.verdict_on(output) is verdict)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not ok, a sentence each, with its name as the source."""
        tasks = (f"{reason} by {self.name}" for task in self.tasks for reason in task.reasons)
        return (*tasks, *self.output_reasons)

    @property
    def output_reasons(self) -> tuple[str, ...]:
        """Those that lie in outputs of which no task decides."""
        found = []
        for output in self.outputs:
            if self.verdict_on(output) is Severity.OK or (self.task_of(output) and output.is_finite):
                continue
            found.append(f"output {output.name!r} {self._bound(output)} by {self.name}, worst on {output.worst}")
        return tuple(found)

    def _bound(self, output: OutputAgreement) -> str:
        if not output.is_finite:
            return "holds values that are not numbers"
        warns = self.verdict_on(output) is Severity.WARNING
        allowed = self._allowed if self.is_flattered(output) else 0.0
        limit = (self.ok_from_db if warns else self.error_below_db) - allowed
        bound = f"ok from {limit:g} dB" if warns else f"error below {limit:g} dB"
        if not self.is_flattered(output):
            return f"has an SNR of {output.snr_db:.1f} dB ({bound})"
        return (
            f"has an SNR of {output.snr_db:.1f} dB, but of {output.about_mean_db:.1f} dB beside what changes in it, "
            f"without its constant part ({bound})"
        )

    def judge(self, plain: dict[str, Any]) -> None:
        """Add to this check as plain data what its numbers mean."""
        plain["verdict"] = self.verdict.value
        for output, row in zip(self.outputs, plain["outputs"], strict=True):
            row["verdict"] = self.verdict_on(output).value
            row["decided_by"] = "task" if self.task_of(output) else "snr"
        for task, row in zip(self.tasks, plain["tasks"], strict=True):
            row |= {"verdict": task.verdict.value, "measured": task.measured}
            for key, metric in task.metrics.items():
                row["metrics"][key]["verdict"] = metric.verdict.value if metric.judged else None
        for accuracy, row in zip(self.accuracies, plain["accuracies"], strict=True):
            accuracy.judge(row)


@dataclass(frozen=True)
class Overflow:
    """A tensor whose values leave the range of FP16 on some image."""

    tensor: str
    peak: Real
    image: str

    def __str__(self) -> str:
        return f"tensor {self.tensor!r} reaches {self.peak:.3g} on {self.image}, beyond FP16's {FP16_LARGEST:.0f}"


@dataclass(frozen=True)
class MeasuredOn:
    """The camera that ran the file, when, as an ISO time, and how fast; the check of that name has its accuracy."""

    device: Identity
    when: str
    check: str
    speed: Benchmark | None = None

    @property
    def words(self) -> str:
        """Which camera with which firmware, when, and how fast."""
        return f"measured on {self.device.words}, {self.when[:10]}{f': {self.speed.words}' if self.speed else ''}"


@dataclass(frozen=True)
class HeldOut:
    """The images that a passport speaks of: where they come from, and their names.

    `held_out` says in words how they were kept apart from those of the calibration; empty where nothing calibrated.
    """

    source: str
    names: tuple[str, ...] = ()
    held_out: str = ""


@dataclass(frozen=True)
class Passport:
    """The accuracy report on one converted model.

    `calibration` tells of the images that calibrated: the set's name, the count; `vendor_reader` what the vendor's own
    reader found in the file. `thumbnails` are images by their names, those that its tasks show.
    `parsers` are what the vendor's parsers of the archive's heads find in the file's outputs. `ladder` are the number
    formats that were tried, this one last, where they were to be chosen. `cost` is what one run costs on the chip:
    counted, and in no verdict. `layers` is what quantization does to which tensor.
    `measured_on` is the camera that ran the file, where one did.
    """

    platform: str
    images: HeldOut
    checks: tuple[Check, ...] = ()
    fp16_overflows: tuple[Overflow, ...] = ()
    not_proven: tuple[str, ...] = ()
    vendor_reader: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    calibration: Mapping[str, Any] = field(default_factory=dict)
    thumbnails: Mapping[str, DataUrl] = field(default_factory=dict)
    parsers: tuple[ParserAgreement, ...] = ()
    ladder: tuple[Rung, ...] = ()
    cost: Cost | None = None
    layers: Layers | None = None
    measured_on: MeasuredOn | None = None

    @property
    def tasks(self) -> tuple[tuple[str, TaskAgreement], ...]:
        """All tasks, each with the name of the method that measured it."""
        return tuple((check.name, task) for check in self.checks for task in check.tasks)

    @property
    def accuracy(self) -> tuple[str, Accuracy] | None:
        """What labels say on the most images, with the name of the method; None without labels."""
        found = [(check.name, item) for check in self.checks for item in check.accuracies]
        return max(found, key=lambda pair: pair[1].images, default=None)

    @property
    def shown(self) -> tuple[tuple[str, TaskAgreement], ...]:
        """The tasks whose worst images and classes are shown: of the first method by which decisions differ."""
        differing = [check for check in self.checks if any(task.worst for task in check.tasks)]
        return tuple((check.name, task) for check in (differing or self.checks)[:1] for task in check.tasks)

    @property
    def best(self) -> tuple[ShownImage, ...]:
        """The images that show best what the model does, of the first task that has any; of those that decide first."""
        tasks = sorted((task for _, task in self.tasks if task.best), key=lambda task: not task.decides)
        return tasks[0].best if tasks else ()

    @property
    def verdict(self) -> Severity:
        """The worst of the checks and the findings; an overflow of FP16 is at least a warning."""
        overflows = (Severity.WARNING for _ in self.fp16_overflows)
        findings = (finding.severity for finding in self.findings)
        return worst_of([*(check.verdict for check in self.checks), *findings, *overflows])

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not ok, a sentence each: the findings, then what the checks measured."""
        return tuple(self._reasons())

    def _reasons(self) -> Iterator[str]:
        for finding in self.findings:
            if finding.severity.rank >= Severity.WARNING.rank:
                yield f"{finding.title}: {finding.message}"
        for check in self.checks:
            yield from check.reasons
        yield from map(str, self.fp16_overflows)

    @property
    def few_images(self) -> bool:
        """Whether shares are rough for want of images."""
        return len(self.images.names) < FEW and bool(self.tasks)

    def as_dict(self, *, drawings: bool = False) -> dict[str, Any]:
        """As plain data for JSON, with what the numbers mean beside them; infinite and undefined ones are words.

        With `drawings`, thumbnails, masks and the like are in it, as `data:` URLs.
        """
        plain = json.loads(_PLAIN.dump_json(self, exclude=None if drawings else _DRAWINGS))
        for check, found in zip(self.checks, plain["checks"], strict=True):
            check.judge(found)
        for row, found in zip(self.parsers, plain["parsers"], strict=True):
            found["words"] = row.words
        if self.cost:
            plain["cost"] |= {"words": self.cost.words, "runs_on": self.cost.runs_on}
        if self.measured_on:
            plain["measured_on"]["words"] = self.measured_on.words
        plain["images"]["count"] = len(self.images.names)
        said = {"passport_version": VERSION, "verdict": self.verdict.value, "reasons": list(self.reasons)}
        return {**said, **plain}


_PLAIN = TypeAdapter(Passport)
_EACH = "__all__"
_MASKS: Any = {_EACH: {"reference": {"mask"}, "candidate": {"mask"}}}
_DRAWINGS: Any = {
    "thumbnails": True,
    "checks": {
        _EACH: {
            "outputs": {_EACH: {"values": {"drawing"}}},
            "tasks": {_EACH: {"worst": _MASKS, "best": _MASKS}},
        }
    },
}


def read(document: Mapping[str, Any]) -> Passport:
    """The passport that a passport.json holds, of this version or an earlier one.

    Raises:
        ValueError: it is none.
    """
    try:
        return _PLAIN.validate_python(earlier.raised(document))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no accuracy passport: {error}") from error


def overflows(peaks: Iterable[tuple[str, Mapping[str, float]]]) -> tuple[Overflow, ...]:
    """The tensors beyond FP16's largest number, each with its highest peak, from (image, peak by tensor)."""
    found: dict[str, Overflow] = {}
    for image, by_tensor in peaks:
        for tensor, peak in by_tensor.items():
            if peak > FP16_LARGEST and (tensor not in found or peak > found[tensor].peak):
                found[tensor] = Overflow(tensor, peak, image)
    return tuple(found.values())
