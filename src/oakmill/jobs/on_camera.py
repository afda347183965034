"""Takes in what is to be measured on a camera: a finished file proved or timed, by an agent that has the camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from oakmill.calibration.datasets.catalog import DEFAULT
from oakmill.conversion.cache.store import key_of
from oakmill.errors import Conflict
from oakmill.jobs import queue, submit
from oakmill.jobs.kinds import CAMERAS, PROVE
from oakmill.jobs.tables import Job
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import new_id
from oakmill.registry.tables import Instance, InstanceStatus, Origin

IMAGES = "images"
"""What a job's `files` call the images."""
_NO_WORKERS_MEMORY = 2**31 - 1
"""A worker of an older release, which knows nothing of cameras, passes over what asks for more memory than it has."""


class Measurement(BaseModel):
    """How a finished file is measured on a camera."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float = Field(10, ge=0.5, le=600, description="How long its speed is measured.")
    warm_up: float = Field(2, ge=0, le=120, description="Seconds before that, of a benchmark.")
    max_images: int = Field(64, ge=1, le=512, description="Images of a proof, at most.")

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Measurement:
        """What a job's spec says of it.

        Raises:
            ValidationError: it cannot be asked for.
        """
        return cls.model_validate({name: spec[name] for name in cls.model_fields if name in spec})


def why_not(session: Session, row: Instance, kind: str) -> str:
    """In a sentence, what keeps a camera from measuring an instance's file; empty where nothing does."""
    platform = row.model_type.lower()
    if row.origin != Origin.CONVERTED or platform not in CAMERAS:
        return f"{row.name} is {row.model_type}, and cameras run RVC2 and RVC4."
    if row.status != InstanceStatus.AVAILABLE:
        return f"The file of {row.name} is not there yet."
    if not row.is_nn_archive:
        return f"{row.name} is a bare file, and a camera takes an NN Archive here."
    if kind == PROVE and _source(session, row) is None:
        return f"The source of {row.name} is gone, so there is nothing to compare it with."
    return ""


def _source(session: Session, row: Instance) -> Instance | None:
    found = session.get(Instance, row.parent_id) if row.parent_id else None
    return found if found and found.trash_id is None and found.status == InstanceStatus.AVAILABLE else None


def request(
    session: Session,
    caller: Caller,
    row: Instance,
    kind: str,
    asked: Measurement,
    *,
    images: str | None = None,
    priority: int = 0,
    retry_of: str | None = None,
) -> Job:
    """The job that measures an instance's file on a camera; the same live request gets the same job.

    `images` is "dataset:<id>"; without it, a proof takes those that the file's conversion kept for it.

    Raises:
        Conflict: no camera can measure it.
    """
    if refused := why_not(session, row, kind):
        raise Conflict(refused, subject=row.id, remedy="Convert the model for RVC2 or RVC4, as an NN Archive.")
    files: dict[str, str] = {}
    spec = asked.model_dump(exclude={"warm_up"} if kind == PROVE else {"max_images"})
    if kind == PROVE:
        spec["held_out"] = images is None
        if found := images or _of_conversion(session, row):
            (files if ":" in found else spec)[IMAGES if ":" in found else "set"] = found
    queue.lock(session)
    key = key_of("on a camera", kind, row.id, spec, files)
    if live := submit.live(session, row.team_id, key):
        return live
    job = Job(
        id=new_id("aij"),
        kind=kind,
        name=row.name,
        team_id=row.team_id,
        key_id=caller.key_id,
        key=key,
        model_id=row.model_id,
        source_id=row.id,
        platform=row.model_type.lower(),
        spec=spec,
        files=files,
        priority=priority,
        memory_mb=_NO_WORKERS_MEMORY,
        retry_of=retry_of,
    )
    return queue.add(session, job)


def _of_conversion(session: Session, row: Instance) -> str | None:
    """The images that the file's passport was made with: "dataset:<id>", "<sha256>:<name>", or a named set.

    None where there were none: then some are generated, as they were for the passport.
    """
    made = session.get(Job, row.job_id) if row.job_id else None
    known = {**row.parameters, **made.spec, **made.files} if made else row.parameters
    if found := known.get("verification_images"):
        return str(found)
    if (row.precision or "FP").startswith("FP"):
        return None
    return str(known.get("quantization_data") or DEFAULT)


def again(session: Session, caller: Caller, job: Job, row: Instance, priority: int) -> Job:
    """Ask for an ended job again, as it was. Raises: as `request`."""
    images = None if job.spec.get("held_out") else job.files.get(IMAGES)
    asked = Measurement.of(job.spec)
    return request(session, caller, row, job.kind, asked, images=images, priority=priority, retry_of=job.id)
