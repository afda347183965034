"""What a job's page shows, made of its row: stages with their times, what is left, what helps against a failure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from oakmill.conversion.failures import Failure, Place, Remedy, apply, rules
from oakmill.errors import OakmillError
from oakmill.jobs import submit
from oakmill.jobs.kinds import ON_CAMERA, PROVE
from oakmill.jobs.on_camera import Measurement
from oakmill.jobs.tables import LIVE, Job, JobStatus
from oakmill.registry.tables import Instance, InstanceFile
from oakmill.spec import ConversionSpec
from oakmill.spec.flags import options_of
from oakmill.spec.platforms import PLATFORMS
from oakmill.web.views import remedies
from oakmill.web.views.filters import plain

STAGES: Mapping[str, str] = {
    "install": "Installs the vendor's tools, which are not here yet",
    "inspect": "Reads the model and its tensors",
    "preflight": "Holds every operator against the platform's table",
    "prepare": "Fixes shapes, simplifies, puts preprocessing inside, proves it equal",
    "calibrate": "Collects the activations' ranges over the images",
    "compile": "Runs the vendor's compiler",
    "package": "Wraps the result as an NN Archive",
    "verify": "Reads the file with the vendor's reader, and measures its accuracy",
}
"""In order, with what each does."""
CAMERA_STAGES: Mapping[str, str] = {
    "inspect": "Opens the file, and finds a camera for it",
    "preflight": "Holds the model against the file's recipe",
    "prepare": "Prepares the model again, as the recipe says",
    "verify": "Runs the file on the camera",
}
"""Those of a file's run on a camera."""
_NOT_REACHED = {JobStatus.FAILED, JobStatus.CANCELLED}


@dataclass(frozen=True)
class StageView:
    """A stage: done, running, failed, waiting or skipped; seconds where it has ended, its start where it runs."""

    name: str
    about: str
    status: str
    seconds: float | None = None
    since: datetime | None = None
    share: float = 0.0


@dataclass(frozen=True)
class NextStep:
    """A remedy as it is offered: which parameters change from what to what, and the command that says the same."""

    number: int
    remedy: Remedy
    changes: tuple[tuple[str, str, str], ...] = ()
    command: str = ""


@dataclass(frozen=True)
class FailureView:
    """What failed, with what can be done next; `rule` names its entry in the book, if it has one."""

    failure: Failure
    next_steps: tuple[NextStep, ...]
    anchor: str

    @property
    def place(self) -> str:
        """Where in the model, in words."""
        found: Place | None = self.failure.place
        return found.in_words() if found else ""


def stages_of(job: Job) -> list[StageView]:
    """All stages that the job goes through, also those that have not begun."""
    done = {str(stage["name"]): stage for stage in job.stages}
    total = sum(float(stage.get("seconds") or 0) for stage in job.stages) or 1.0
    found = [_stage(job, name, done.get(name), total) for name in STAGES if name in done or _is_due(job, name)]
    if job.kind not in ON_CAMERA:
        return found
    return [replace(stage, about=CAMERA_STAGES.get(stage.name, stage.about)) for stage in found]


def _stage(job: Job, name: str, found: Mapping[str, Any] | None, total: float) -> StageView:
    if found is None:
        return StageView(name, STAGES[name], "skipped" if job.status in _NOT_REACHED else "waiting")
    status, seconds = str(found["status"]), float(found.get("seconds") or 0)
    if status == "running" and job.status not in LIVE:
        status = "failed" if job.status == JobStatus.FAILED else "skipped"
    since = _began(job, found) if status == "running" else None
    return StageView(name, STAGES[name], status, seconds if status == "done" else None, since, seconds / total)


def _began(job: Job, stage: Mapping[str, Any]) -> datetime | None:
    before = sum(float(other.get("seconds") or 0) for other in job.stages if other is not stage)
    return job.started + timedelta(seconds=before) if job.started else None


def _is_due(job: Job, name: str) -> bool:
    """Whether a job that is not through will come to a stage; one that is answered from elsewhere has none."""
    if job.status == JobStatus.SUCCEEDED:
        return False
    if job.kind in ON_CAMERA:
        return name == "verify" or (job.kind == PROVE and name in CAMERA_STAGES)
    if name == "install":  # most jobs find their tools here
        return False
    if name != "calibrate":
        return True
    precision = str(job.spec.get("target_precision", "INT8"))
    return PLATFORMS[str(job.platform)].quantizes and not precision.startswith("FP")


def failure_of(job: Job, source: Instance | None) -> FailureView | None:
    """The failure with what can be done; also one that only left a sentence."""
    if job.status != JobStatus.FAILED:
        return None
    failure = recorded_failure(job)
    next_steps = tuple(_next_step(job, source, number, remedy) for number, remedy in enumerate(failure.remedies))
    return FailureView(failure, next_steps, failure.rule if any(rule.id == failure.rule for rule in rules()) else "")


def steps_of(job: Job, source: Instance | None) -> tuple[NextStep, ...]:
    """What helps a job's result, where it is not ok; an edit that the spec cannot take is left out."""
    if job.status != JobStatus.SUCCEEDED:
        return ()
    found = enumerate(remedies.remedies_of(job))
    return tuple(step for number, remedy in found if (step := _next_step(job, source, number, remedy)).changes)


def recorded_failure(job: Job) -> Failure:
    """The failure as the job's row has it; of one that left no more than a sentence, that sentence."""
    try:
        return Failure.model_validate(job.failure or {})
    except ValidationError:
        sentence = job.error or "The job failed, and left no word."
        return Failure(stage="", code="HubError", exit_code=10, rule="", title="It failed", sentence=sentence)


def _next_step(job: Job, source: Instance | None, number: int, remedy: Remedy) -> NextStep:
    if not remedy.edit:
        return NextStep(number, remedy)
    try:
        old = submit.spec_of(job)
        new = apply(remedy.edit, old)
    except (OakmillError, ValidationError, KeyError):  # the spec is of an older version: its words still help
        return NextStep(number, remedy)
    return NextStep(number, remedy, tuple(changes(old, new)), command_of(new, source))


def changes(old: ConversionSpec, new: ConversionSpec) -> Iterator[tuple[str, str, str]]:
    """Each parameter that differs: its name, the old value, the new one."""
    before, after = dict(flat(old.model_dump(mode="json"))), dict(flat(new.model_dump(mode="json")))
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name) and not name.endswith(".name"):
            yield name, before.get(name) or "default", after.get(name) or "default"


def flat(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A spec's parameters as text; those of an input behind its name."""
    for name, value in values.items():
        if name == "inputs":
            for item in value:
                begin = f"inputs.{item.get('name') or 0}"
                yield from ((f"{begin}.{key}", plain(inner)) for key, inner in item.items() if inner is not None)
        else:
            yield name, plain(value)


def command_of(spec: ConversionSpec, source: Instance | None) -> str:
    """The conversion as a command."""
    model = source.name if source else "model.onnx"
    lines = [["oakmill", "convert", model, "--to", spec.platform], *options_of(spec)]
    return " \\\n  ".join(map(shlex.join, lines))


def command_of_job(job: Job, source: Instance | None, sets: Mapping[str, str]) -> str:
    """The job's own conversion as a command; empty where its spec is not known any more."""
    if job.kind in ON_CAMERA:
        file = f"{source.name if source else 'model'}.tar.xz"
        model = ["--source", "MODEL"] if job.kind == PROVE else []
        return shlex.join(["oakmill", job.kind, file, *model, "--seconds", f"{Measurement.of(job.spec).seconds:g}"])
    try:
        command = command_of(submit.spec_of(job), source)
    except (ValidationError, KeyError):
        return ""
    for name, slug in sets.items():
        command = command.replace(name, slug)
    return command


def parameters(job: Job, sets: Mapping[str, str]) -> list[tuple[str, str]]:
    """What was asked for, beyond the defaults; calibration sets by their slugs."""
    return [
        (name, sets.get(text, text))
        for name, text in flat(job.spec)
        if name != "platform" and not name.endswith(".name")
    ]


def file_of(files: list[InstanceFile], *roles: str) -> InstanceFile | None:
    """The first file of one of those roles."""
    return next((file for file in files if file.role in roles), None)
