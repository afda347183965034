"""Jobs over HTTP: listed, followed, cancelled, moved, tried again; and the list of those that failed."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.errors import SpecError
from oakmill.hub import jobs, visibility
from oakmill.hub.auth import Converter, Reader, Reading, TheHub, Writing
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Answer, Body, Cursor, Limit, Listed
from oakmill.jobs import estimates, job_log, queue
from oakmill.jobs.estimates import Estimate
from oakmill.jobs.tables import LIVE, Job, JobStatus

routes = router("jobs")

Priority = Annotated[int, Field(ge=-100, le=100, description="Higher goes first.")]


class JobOut(Answer):
    """A job. `position`, `wait` and `run` are expected, and null where nothing is known."""

    id: str
    number: int
    kind: str
    name: str
    status: JobStatus
    model_id: str | None
    source_id: str | None
    result_id: str | None
    platform: str | None
    spec: dict[str, Any]
    priority: int
    attempt: int
    max_attempts: int
    cancel_requested: bool
    limits: dict[str, int]
    progress: dict[str, Any]
    stages: list[dict[str, Any]]
    queued: datetime
    started: datetime | None
    finished: datetime | None
    error: str | None
    failure: dict[str, Any] | None = Field(description="What failed, where, and what to change.")
    result: dict[str, Any] | None
    retry_of: str | None
    answered_by: str | None = Field(description="The earlier job that made the same.")
    position: int | None = Field(None, description="Place in the queue, from 1.")
    wait: float | None = Field(None, description="Seconds until it begins.")
    run: float | None = Field(None, description="Seconds from then, or from now, to its end.")
    fraction: float | None = Field(None, description="How much of it is done, by its time.")

    @classmethod
    def of(cls, row: Job, estimate: Estimate | None = None) -> JobOut:
        """A row, with what is expected of it."""
        found = cls.model_validate(row)
        if estimate is not None:
            found.position, found.wait = estimate.position, estimate.wait
            found.run, found.fraction = estimate.run, estimate.fraction
        return found


class LineOut(Answer):
    """A line of a job's log."""

    number: int
    at: datetime
    attempt: int
    stage: str
    kind: str
    text: str


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
) -> Listed[JobOut]:
    """The team's jobs, the latest first."""
    conditions = [visibility.jobs(caller)]
    if status:
        conditions.append(Job.status.in_(status))
    for column, value in ((Job.model_id, model_id), (Job.source_id, source_id), (Job.platform, platform)):
        if value is not None:
            conditions.append(column == value.replace("\0", ""))
    return _page(session, select(Job).where(*conditions), limit, cursor)


@routes.get("/failures")
def list_failures(session: Reading, caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> Listed[JobOut]:
    """The team's failed jobs, the latest first, with what each failure was and what helps."""
    return _page(session, select(Job).where(visibility.jobs(caller), Job.status == JobStatus.FAILED), limit, cursor)


@routes.get("/jobs/{job_id}")
def get_job(job_id: Id, session: Reading, caller: Reader) -> JobOut:
    """A job, and what is expected of it."""
    return detail(session, visibility.job(session, caller, job_id))


@routes.patch("/jobs/{job_id}")
def change_job(job_id: Id, body: Changes, session: Writing, caller: Converter) -> JobOut:
    """Move a job that waits before or behind others."""
    return detail(session, jobs.prioritise(session, caller, job_id, body.priority))


@routes.get("/jobs/{job_id}/log")
def get_log(
    job_id: Id,
    session: Reading,
    caller: Reader,
    after: Annotated[int, Query(ge=0, lt=2**31, description="The number of the last line that is known.")] = 0,
    limit: Limit = 1000,
) -> Listed[LineOut]:
    """The lines of the log that follow; `/events` streams them as they come."""
    visibility.job(session, caller, job_id)
    lines = job_log.read(session, job_id, after, limit)
    more = str(lines[-1].number) if len(lines) == limit else None
    return Listed(items=[LineOut.model_validate(line) for line in lines], next_cursor=more)


@routes.post("/jobs/{job_id}/cancel")
def cancel_job(job_id: Id, session: Writing, caller: Converter) -> JobOut:
    """Cancel: at once where no worker has it, else the worker is told. A job that has ended stays as it ended."""
    return detail(session, jobs.cancel(session, caller, job_id))


@routes.post("/jobs/{job_id}/retry", status_code=201)
def retry_job(job_id: Id, body: Retry, session: Writing, caller: Converter, at: TheHub) -> JobOut:
    """Ask for an ended job again, as it was or with edits; the new job names it in `retry_of`."""
    row = visibility.changeable_job(session, caller, job_id)
    job = jobs.retry(session, caller, at, row, *jobs.edited(session, caller, row, body.edits))
    if body.priority is not None and queue.prioritise(session, job.id, body.priority):
        session.refresh(job)
    return detail(session, job)


def detail(session: Session, row: Job) -> JobOut:
    """A job with what is expected of it."""
    return JobOut.of(row, estimates.estimate(session, row) if row.status in LIVE else None)


def _page(session: Session, query: Any, limit: int, cursor: str | None) -> Listed[JobOut]:
    if cursor is not None:
        query = query.where(Job.number < _number(cursor))
    found = list(session.scalars(query.order_by(Job.number.desc()).limit(limit + 1)))
    more = base64.urlsafe_b64encode(f"job:{found[limit - 1].number}".encode()) if len(found) > limit else None
    return Listed(items=[JobOut.of(row) for row in found[:limit]], next_cursor=more.decode() if more else None)


def _number(cursor: str) -> int:
    try:
        kind, _, number = base64.b64decode(cursor, b"-_", validate=True).decode().partition(":")
        if kind == "job" and number.isdecimal() and int(number) < 2**63:
            return int(number)
    except ValueError:  # not base64, or not text
        pass
    raise SpecError(f"The cursor {cursor[:40]!r} does not belong to this list.", remedy="Start without a cursor.")
