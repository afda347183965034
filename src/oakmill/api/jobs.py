"""Jobs over HTTP: listed, followed, cancelled, moved, tried again; and the list of those that failed."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from sqlalchemy.orm import Session

from oakmill.api import answers
from oakmill.api.bodies import Body, Cursor, Limit
from oakmill.errors import SpecError
from oakmill.hub import job_list, jobs, visibility
from oakmill.hub.auth import Converter, Reader, Reading, TheHub, Writing
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Job, Line, Listed
from oakmill.jobs import job_log, queue
from oakmill.jobs.kinds import ON_CAMERA
from oakmill.jobs.states import JobStatus

routes = router("jobs")

Priority = Annotated[int, Field(ge=-100, le=100, description="Higher goes first.")]


class Changes(Body):
    """What is to change of a job that waits."""

    priority: Priority


class Retry(Body):
    """What is to be different the next time."""

    edits: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of the spec and their new values, as in a conversion; null means the default. Files "
        "that are not named stay those of the job.",
    )
    priority: Priority | None = None


@routes.get("/jobs")
def list_jobs(
    session: Reading,
    caller: Reader,
    *,
    status: Annotated[tuple[JobStatus, ...], Query(max_length=6)] = (),
    model_id: Annotated[str | None, Query(max_length=64)] = None,
    source_id: Annotated[str | None, Query(max_length=64)] = None,
    platform: Annotated[str | None, Query(max_length=8)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[Job]:
    """The team's jobs, the latest first."""
    wanted = job_list.conditions(caller, status=status, model_id=model_id, source_id=source_id, platform=platform)
    return _page(session, wanted, limit, cursor)


@routes.get("/failures")
def list_failures(session: Reading, caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> Listed[Job]:
    """The team's failed jobs, the latest first, with what each failure was and what helps."""
    return _page(session, job_list.conditions(caller, status=(JobStatus.FAILED,)), limit, cursor)


@routes.get("/jobs/{job_id}")
def get_job(job_id: Id, session: Reading, caller: Reader) -> Job:
    """A job, and what is expected of it."""
    return answers.job(session, visibility.job(session, caller, job_id))


@routes.patch("/jobs/{job_id}")
def change_job(job_id: Id, body: Changes, session: Writing, caller: Converter) -> Job:
    """Move a job that waits before or behind others."""
    return answers.job(session, jobs.prioritise(session, caller, job_id, body.priority))


@routes.get("/jobs/{job_id}/log")
def get_log(
    job_id: Id,
    session: Reading,
    caller: Reader,
    after: Annotated[int, Query(ge=0, lt=2**31, description="The number of the last line that is known.")] = 0,
    limit: Limit = 1000,
) -> Listed[Line]:
    """The lines of the log that follow; `/events` streams them as they come."""
    visibility.job(session, caller, job_id)
    lines = job_log.read(session, job_id, after, limit)
    more = str(lines[-1].number) if len(lines) == limit else None
    return Listed(items=tuple(map(Line.model_validate, lines)), next_cursor=more)


@routes.post("/jobs/{job_id}/cancel")
def cancel_job(job_id: Id, session: Writing, caller: Converter) -> Job:
    """Cancel: at once where no worker has it, else the worker is told. A job that has ended stays as it ended."""
    return answers.job(session, jobs.cancel(session, caller, job_id))


@routes.post("/jobs/{job_id}/retry", status_code=201)
def retry_job(job_id: Id, body: Retry, session: Writing, caller: Converter, at: TheHub) -> Job:
    """Ask for an ended job again, as it was or with edits; the new job names it in `retry_of`."""
    row = visibility.changeable_job(session, caller, job_id)
    edits = jobs.edited(session, caller, row, body.edits) if body.edits or row.kind not in ON_CAMERA else ()
    job = jobs.retry(session, caller, at, row, *edits)
    if body.priority is not None:
        jobs.require_priority(session, caller, job.team_id, body.priority)
        if queue.prioritise(session, job.id, body.priority):
            session.refresh(job)
    return answers.job(session, job)


def _page(session: Session, wanted: job_list.Conditions, limit: int, cursor: str | None) -> Listed[Job]:
    found, last = job_list.page(session, wanted, limit, None if cursor is None else _number(cursor))
    more = base64.urlsafe_b64encode(f"job:{last}".encode()).decode() if last else None
    return Listed(items=tuple(map(Job.model_validate, found)), next_cursor=more)


def _number(cursor: str) -> int:
    try:
        kind, _, number = base64.b64decode(cursor, b"-_", validate=True).decode().partition(":")
        if kind == "job" and number.isdecimal() and int(number) < 2**63:
            return int(number)
    except ValueError:  # not base64, or not text
        pass
    raise SpecError(f"The cursor {cursor[:40]!r} does not belong to this list.", remedy="Start without a cursor.")
