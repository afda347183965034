"""What people do with conversions, whichever face they use: ask for one, try it again, cancel it, move it.

Each is noted in the audit log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from sqlalchemy.orm import Session

from oakmill.errors import Conflict, Forbidden
from oakmill.hub import visibility
from oakmill.hub.parameters import with_files
from oakmill.hub.state import Hub
from oakmill.jobs import on_camera, queue, submit
from oakmill.jobs.kinds import ON_CAMERA
from oakmill.jobs.submit import Options
from oakmill.jobs.tables import LIVE, Job
from oakmill.registry import audit, teams
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Instance, Team
from oakmill.spec import ConversionSpec

Files = dict[str, str]
"""What a spec's fields mean in this hub; see `submit.Options`."""


def parse(session: Session, caller: Caller, platform: str, values: Mapping[str, Any]) -> tuple[ConversionSpec, Files]:
    """The spec that plain values ask for, and the hub's files that they name.

    Raises:
        SpecError: a value is not valid, or names no file of the hub.
        NotFound: the team has no such calibration set, the key has no such upload.
        Conflict: the upload is not complete, or is for something else.
    """
    plain, files = with_files(session, caller, dict(values))
    return submit.parse({**plain, "platform": platform}, files), files


def convert(
    session: Session, caller: Caller, at: Hub, source: Instance, spec: ConversionSpec, **options: Unpack[Options]
) -> Job:
    """The job that converts a source; the same request gets the same job while it lives.

    Raises:
        SpecError, NotFound, Conflict: as `submit.request`.
        TooLarge: the team's quota is used up.
    """
    require_priority(session, caller, source.team_id, options.get("priority", 0))
    job = submit.request(session, caller, source, spec, settings=at.settings, **options)
    _require_room(session, job)
    _note(session, caller, "job.create", job, platform=job.platform)
    return job


def edited(session: Session, caller: Caller, job: Job, edits: Mapping[str, Any]) -> tuple[ConversionSpec, Files]:
    """A job's spec with other values, None for a default; files that are not named stay those of the job.

    Raises:
        SpecError, NotFound, Conflict: as `parse`.
        Conflict: it is no conversion.
    """
    before = submit.spec_of(job)
    plain, named = with_files(session, caller, dict(edits))
    files = {name: value for name, value in job.files.items() if name not in edits} | named
    values = before.model_dump(mode="json", exclude_unset=True)
    return submit.parse({**values, **plain, "platform": before.platform}, files), files


def retry(
    session: Session,
    caller: Caller,
    at: Hub,
    job: Job,
    spec: ConversionSpec | None = None,
    files: Files | None = None,
    *,
    anew: bool = False,
) -> Job:
    """Ask for an ended job again, as it was or with another spec; the new job names it in `retry_of`.

    With `anew` nothing is taken from the cache, and the bytes are compared with what is there.

    Raises:
        SpecError, NotFound, Conflict: as `submit.again`.
        TooLarge: the team's quota is used up.
    """
    if job.kind in ON_CAMERA:
        made = _measured_again(session, caller, job)
    else:
        made = submit.again(session, caller, job, settings=at.settings, spec=spec, files=files, anew=anew)
    _require_room(session, made)
    _note(session, caller, "job.retry", made, platform=made.platform)
    return made


def _measured_again(session: Session, caller: Caller, job: Job) -> Job:
    """As `submit.again`, of what wants a camera."""
    submit.require_ended(job)
    row = session.get(Instance, job.source_id) if job.source_id else None
    if row is None or row.trash_id is not None:
        raise Conflict(f"The file of job {job.name} was deleted.", subject=job.id, remedy="Convert it again.")
    return on_camera.again(session, caller, job, row, submit.priority_again(session, job))


def require_priority(session: Session, caller: Caller, team_id: str, priority: int) -> None:
    """Go on only with a priority that the team's jobs may have: all teams wait in one queue.

    Raises:
        Forbidden: it is higher than the operator lets the team go.
    """
    highest = session.get_one(Team, team_id).highest_priority
    if priority > highest and not caller.everywhere:
        raise Forbidden(
            f"The team's jobs may have the priority {highest} at most, not {priority}.",
            subject="priority",
            remedy="Ask for less; the operator raises it: oakmill keys set-team TEAM --highest-priority N.",
        )


def _require_room(session: Session, job: Job) -> None:
    """What was made before takes none."""
    if job.status in LIVE:
        teams.require_room(session, job.team_id)


def cancel(session: Session, caller: Caller, job_id: str) -> Job:
    """Cancel: at once where no worker has it, else the worker is told. A job that has ended stays as it ended.

    Raises:
        NotFound, Forbidden: as `visibility.changeable_job`.
    """
    job = visibility.changeable_job(session, caller, job_id)
    queue.cancel(session, job_id)
    _note(session, caller, "job.cancel", job)
    session.refresh(job)
    return job


def prioritise(session: Session, caller: Caller, job_id: str, priority: int) -> Job:
    """Move a job that waits before or behind others.

    Raises:
        NotFound, Forbidden: as `visibility.changeable_job`.
        Forbidden: the team's jobs may not have such a priority.
        Conflict: it waits no more.
    """
    job = visibility.changeable_job(session, caller, job_id)
    require_priority(session, caller, job.team_id, priority)
    if not queue.prioritise(session, job_id, priority):
        raise Conflict(f"Job {job.name} waits no more.", subject=job_id, remedy="Look at where it stands now.")
    audit.record(session, caller, "job.prioritise", job_id, of_team=job.team_id, priority=priority)
    session.refresh(job)
    return job


def _note(session: Session, caller: Caller, action: str, job: Job, **more: Any) -> None:
    audit.record(session, caller, action, job.id, of_team=job.team_id, name=job.name, **more)
