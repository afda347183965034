"""Announces uploads: what each is for is checked before its first byte comes, whichever face asks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session

from oakmill.errors import Conflict
from oakmill.hub import agents, measurements, visibility
from oakmill.hub.state import Hub
from oakmill.jobs.kinds import PROVE
from oakmill.jobs.tables import JobStatus
from oakmill.registry import access, audit, instances, teams
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Instance
from oakmill.storage.tables import Upload

_PART = r"[^/\\\x00-\x1f\x7f]*[^/\\\x00-\x1f\x7f.]"
"""A word of a name: never `.` nor `..`."""
FileName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=f"^({_PART}/)*{_PART}$")]


class _Purpose(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ForInstance(_Purpose):
    """A file of a source instance that is pending: the model, its external data, or an IR's weights."""

    kind: Literal["instance"]
    instance_id: Annotated[str, Field(max_length=64)]


class ForDataset(_Purpose):
    """A calibration set of the team's own: a zip of images."""

    kind: Literal["dataset"]
    name: Annotated[str, Field(min_length=1, max_length=255)]


class ForQuantization(_Purpose):
    """What a job waits for: a zip of images that calibrate its quantization."""

    kind: Literal["quantization"]
    job_id: Annotated[str, Field(max_length=64)]


class ForParameter(_Purpose):
    """A file that a conversion's parameter names, by the upload's identifier, as long as the upload is kept."""

    kind: Literal["file"]
    parameter: Literal["aimet_encodings", "verification_images", "quantization_data"]


class ForBundle(_Purpose):
    """A bundle of models: what it would bring is told when it has come, and it is taken in when that is asked for."""

    kind: Literal["bundle"]


class ForProof(_Purpose):
    """The passport that an agent has made of a job that it holds; the job succeeds with it."""

    kind: Literal["proof"]
    job_id: Annotated[str, Field(max_length=64)]
    token: Annotated[str, Field(max_length=64)]


AnyPurpose = ForInstance | ForDataset | ForQuantization | ForParameter | ForBundle | ForProof
Purpose = Annotated[AnyPurpose, Field(discriminator="kind")]


def announce(
    session: Session,
    caller: Caller,
    at: Hub,
    purpose: AnyPurpose,
    *,
    name: str,
    size: int | None = None,
    sha256: str | None = None,
) -> Upload:
    """A new upload, which takes bytes from now on; `size` in bytes, None where it is not known yet.

    Raises:
        NotFound: the caller does not see what it is for.
        Forbidden: it is another team's, or the key is for one model and this is for the team.
        Conflict: what it is for takes no file.
        TooLarge: the hub, the team's quota or the disk has no room for it.
    """
    team_id = _team_of(session, caller, purpose)
    if isinstance(purpose, ForProof):
        measurements.require_small(size, name)
    row = at.uploads.create(
        session,
        team_id=team_id,
        key_id=caller.key_id,
        name=name,
        size=size,
        sha256=sha256,
        purpose=purpose.model_dump(),
        quota_left=teams.quota_left(session, team_id, alone=True),
    )
    session.flush()
    audit.record(session, caller, "upload.create", row.id, of_team=team_id, name=row.name, size=row.size)
    return row


def _team_of(session: Session, caller: Caller, purpose: AnyPurpose) -> str:
    """The team that the upload is for, once it is certain that it has a purpose there."""
    if isinstance(purpose, ForInstance):
        row = access.changeable(session, caller, Instance, purpose.instance_id)
        instances.require_open(row)
        return row.team_id
    if isinstance(purpose, ForQuantization):
        job = visibility.changeable_job(session, caller, purpose.job_id)
        if job.status != JobStatus.WAITING:
            raise Conflict(f"Job {job.name} waits for no upload.", subject=job.id)
        return job.team_id
    if isinstance(purpose, ForProof):
        job = agents.held(session, caller, purpose.job_id, purpose.token)
        if job.kind != PROVE:
            raise Conflict(f"Job {job.name} takes no passport.", subject=job.id)
        return job.team_id
    if isinstance(purpose, ForDataset | ForBundle):
        caller.require_whole_team()
    return caller.own_team()
