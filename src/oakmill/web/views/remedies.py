"""What helps a result that is not as it should be: the same conversion with an edit, a click each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from oakmill.calibration.datasets.catalog import BEGIN_WITH
from oakmill.conversion.failures import Failure, Remedy
from oakmill.conversion.passport import Passport
from oakmill.errors import OakmillError, SpecError
from oakmill.findings import Severity
from oakmill.jobs import submit
from oakmill.jobs.kinds import ON_CAMERA
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.tables import Instance
from oakmill.spec import ConversionSpec, Precision, QuantizingSpec
from oakmill.web.views.documents import passport_in

_MIXED = Precision.INT8_INT16_MIXED
_POOR_SETS = {"random": BEGIN_WITH}
"""Sets that are a reason themselves, and what is better without more ado."""


def remedies_of(job: Job) -> tuple[Remedy, ...]:
    """The ways out of a job that failed, or whose result is not ok; in the same order each time."""
    if job.status == JobStatus.FAILED:
        return Failure.model_validate(job.failure or {}).remedies
    passport = None if job.kind in ON_CAMERA else passport_in((job.result or {}).get("passport") or {})
    if job.status != JobStatus.SUCCEEDED or passport is None or passport.verdict is Severity.OK:
        return ()
    try:
        spec = submit.spec_of(job)
    except (OakmillError, ValidationError, KeyError):  # of an older version: it cannot be asked again as it was
        return ()
    return tuple(_of_result(passport, spec))


def numbered(job: Job, number: str) -> Remedy:
    """The remedy of that number.

    Raises:
        SpecError: there is none.
    """
    found = remedies_of(job)
    if not number.isdecimal() or int(number) >= len(found):
        raise SpecError(f"The job has no remedy {number!r}.", subject=job.id, remedy="Reload the page of the job.")
    return found[int(number)]


def _of_result(passport: Passport, spec: ConversionSpec) -> Iterator[Remedy]:
    for finding in passport.findings:
        corrected = finding.evidence.get("corrected")
        if isinstance(corrected, Mapping) and corrected:
            edit: dict[str, Any] = {f"inputs.{finding.subject}.{name}": value for name, value in corrected.items()}
            yield Remedy(
                text=f"Convert again with {finding.evidence.get('convention') or 'what fits better'}", edit=edit
            )
    if isinstance(spec, QuantizingSpec) and not _is_float(passport, spec):
        yield from _of_quantization(passport, spec)


def _is_float(passport: Passport, spec: QuantizingSpec) -> bool:
    """Whether nothing was quantized: asked so, or what AUTO ended with."""
    chosen = passport.ladder[-1].precision if passport.ladder else spec.target_precision
    return Precision(chosen).is_float


def _of_quantization(passport: Passport, spec: QuantizingSpec) -> Iterator[Remedy]:
    better = _POOR_SETS.get(spec.quantization_data or "")
    if better:
        yield Remedy(text=f"Convert again with the {better} set", edit={"quantization_data": better})
    if spec.target_precision is not Precision.AUTO:
        yield Remedy(text="Convert again with AUTO", edit={"target_precision": Precision.AUTO.value})
    if spec.target_precision is not _MIXED and any(_MIXED.value in finding.remedy for finding in passport.findings):
        yield Remedy(text="Convert again with 16 bits where they matter", edit={"target_precision": _MIXED.value})
    yield Remedy(text="Convert again with FP16", edit={"target_precision": Precision.FP16_STANDARD.value})


def asks_colours(job: Job, source: Instance | None) -> bool:
    """Whether the source can be asked which colours it takes, and what it became is not as it should be."""
    images = (source.facts.get("inputs") or ()) if source else ()
    is_asked = source is not None and source.model_type == "ONNX" and any(len(item["shape"]) == 4 for item in images)
    passport = passport_in((job.result or {}).get("passport") or {}) if is_asked else None
    return passport is not None and passport.verdict is not Severity.OK
