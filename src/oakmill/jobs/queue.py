"""The jobs table is the queue: claim, beat, record, finish, expire, cancel. SQLite and PostgreSQL, one code path.

A worker holds a job by a lease that it extends, and by a token that fences: every write names it, so a worker that was
frozen past its lease, and is woken again, writes nothing. Any process may call `expire` at any time; nobody leads.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text, update
from sqlalchemy.orm import Session

from oakmill.errors import OakmillError
from oakmill.jobs import fair
from oakmill.jobs.kinds import ON_CAMERA
from oakmill.jobs.notify import QUEUE, control_topic, job_topic, notify_at_commit
from oakmill.jobs.states import LeaseState
from oakmill.jobs.tables import LIVE, Job, JobStatus, WorkerRow
from oakmill.jobs.webhooks import outbox
from oakmill.registry.tables import Instance, InstanceStatus
from oakmill.storage.database import moment

WORKER_LOST = "The worker that ran it was lost, each of {attempts} times: it was ended from outside, or its machine."
AGENT_LOST = "The agent that ran it was lost, each of {attempts} times: it was ended from outside, or its machine."
UPLOAD_MISSING = "The upload that it waited for never came."
AGAIN = "Try it again; the log says how far it came."

MOST_ATTEMPTS = 6
"""How often a job is tried at most, however often its hub was restarted meanwhile."""

_FIRST = 64
"""Jobs of which a worker takes one: as many may be in others' hands at that moment."""
_NUMBERS = 7_115_023
"""The lock under which PostgreSQL gives numbers; SQLite has one writer at a time anyway."""


def lock(session: Session) -> None:
    """From here to the commit, nobody else adds jobs."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _NUMBERS})


def add(session: Session, job: Job) -> Job:
    """Put a job at the queue's end: it gets its number here."""
    lock(session)
    job.number = (session.scalar(select(func.max(Job.number))) or 0) + 1
    session.add(job)
    session.flush()
    changed(session, job.id)
    return job


def claim(
    session: Session,
    worker: str,
    lease: timedelta,
    *,
    memory_mb: int | None = None,
    platforms: Sequence[str] = (),
    job_id: str | None = None,
) -> Job | None:
    """Take the next job, or the named one, that asks for no more than `memory_mb`; None when there is none.

    With `platforms`, jobs for others are left to others. A worker that was paused takes none, and what wants a camera
    is an agent's.
    """
    wanted = [~select(WorkerRow.name).where(WorkerRow.name == worker, WorkerRow.paused.is_(True)).exists()]
    wanted.append(fair.of_workers())
    if memory_mb is not None:
        wanted.append(Job.memory_mb <= memory_mb)
    if job_id is not None:
        wanted.append(Job.id == job_id)
    elif platforms:
        wanted.append(Job.platform.in_(platforms))
    return _take(session, fair.waiting(*wanted, bounded=job_id is None), worker, lease)


def claim_on_camera(
    session: Session, agent: str, lease: timedelta, platforms: Sequence[str], *within: ColumnElement[bool]
) -> Job | None:
    """Take the next job for a camera of these platforms, of those `within`; None when there is none."""
    wanted = (Job.kind.in_(ON_CAMERA), Job.platform.in_(platforms), *within)
    return _take(session, fair.waiting(*wanted), agent, lease)


def _take(session: Session, waiting: Select[str], owner: str, lease: timedelta) -> Job | None:
    """Lease the first of these jobs that nobody else is taking."""
    job = _hold(session, session.scalars(waiting.limit(_FIRST)).all())
    if job is None:
        return None
    began = moment(session)
    job.status, job.lease_owner, job.lease_token = JobStatus.RUNNING, owner, secrets.token_hex(16)
    job.attempt += 1
    job.started, job.lease_until = began, began + lease
    job.progress, job.stages = {}, []
    fair.served(session, job.team_id, began)
    changed(session, job.id)
    return job


def _hold(session: Session, job_ids: Sequence[str]) -> Job | None:
    """The first of them that waits and that nobody else is taking at this moment.

    To sort the rows themselves and hold the first took a tenth of a second where thousands wait.
    """
    for job_id in job_ids:
        free = select(Job).where(Job.id == job_id, Job.status == JobStatus.QUEUED).with_for_update(skip_locked=True)
        if (job := session.scalars(free).first()) is not None:
            return job
    return None


def _held(job_id: str, token: str) -> ColumnElement[bool]:
    return and_(Job.id == job_id, Job.lease_token == token, Job.status == JobStatus.RUNNING)


def beat(session: Session, job_id: str, token: str, lease: timedelta) -> LeaseState:
    """Extend the lease; how it stands, and so what the worker is to do."""
    extended = update(Job).where(_held(job_id, token)).values(lease_until=moment(session) + lease)
    row = session.execute(extended.returning(Job.cancel_requested)).first()
    if row is None:
        return LeaseState.LOST
    return LeaseState.CANCEL if row[0] else LeaseState.HELD


def record(session: Session, job_id: str, token: str, **values: Any) -> bool:
    """Write `progress` or `stages`; False when the lease was lost. The row stays held until the commit."""
    changed = session.execute(
        update(Job).where(_held(job_id, token)).values(values or {"lease_token": token}).returning(Job.id)
    ).first()
    notify_at_commit(session, job_topic(job_id))
    return changed is not None


def finish(
    session: Session,
    job_id: str,
    token: str,
    status: JobStatus,
    *,
    error: str | None = None,
    failure: Mapping[str, Any] | None = None,
    result: Mapping[str, Any] | None = None,
) -> bool:
    """Write the end of a job; False, and nothing is written, when the lease was lost."""
    values = {"error": error, "failure": failure, "result": result}
    if status is JobStatus.SUCCEEDED:
        values["progress"] = {}
    return bool(_end(session, _held(job_id, token), status, **values))


def release(session: Session, job_id: str, token: str) -> bool:
    """Give a job back, untried: its worker was asked to end. False when the lease was lost."""
    values = {"status": JobStatus.QUEUED, "attempt": Job.attempt - 1, "progress": {}, "stages": []}
    given = update(Job).where(_held(job_id, token)).values(**values, **_NOBODYS).returning(Job.id)
    found = session.scalars(given.execution_options(synchronize_session=False)).all()
    changed(session, *found)
    return bool(found)


_NOBODYS: Mapping[str, None] = {"lease_token": None, "lease_until": None, "lease_owner": None}


def _end(session: Session, which: ColumnElement[bool], status: JobStatus, **values: Any) -> list[str]:
    """End jobs; the result of one that did not succeed will never come."""
    ended = update(Job).where(which).values(status=status, finished=moment(session), **values, **_NOBODYS)
    found = list(session.scalars(ended.returning(Job.id).execution_options(synchronize_session=False)))
    if status is not JobStatus.SUCCEEDED and found:
        pending = and_(Instance.job_id.in_(found), Instance.status == InstanceStatus.PENDING)
        session.execute(update(Instance).where(pending).values(status=InstanceStatus.FAILED))
    outbox.ended(session, found)
    changed(session, *found)
    return found


def changed(session: Session, *job_ids: str) -> None:
    """Ring, at the commit, for jobs whose state has changed."""
    if job_ids:
        notify_at_commit(session, QUEUE, *map(job_topic, job_ids))


def expire(session: Session, upload_wait: timedelta = timedelta(hours=24)) -> list[str]:
    """Give back, or fail, every job whose worker stopped beating, or whose upload never came. Returns their ids."""
    at = moment(session)
    dead = and_(Job.status == JobStatus.RUNNING, Job.lease_until < at)
    late = and_(Job.status == JobStatus.WAITING, Job.queued < at - upload_wait)
    if session.scalar(select(Job.id).where(or_(dead, late)).limit(1)) is None:
        return []
    return _fail(session, late, UPLOAD_MISSING) + _give_back(session, dead)


def take_back(session: Session, owners: Sequence[str]) -> list[str]:
    """Give back what workers were at that ended with their hub: it costs no attempt, unless it comes to that often.

    A job that takes its whole machine down each time must end, too.
    """
    held = and_(Job.status == JobStatus.RUNNING, Job.lease_owner.in_(owners))
    spared = update(Job).where(held, Job.max_attempts < MOST_ATTEMPTS).values(max_attempts=Job.max_attempts + 1)
    session.execute(spared.execution_options(synchronize_session=False))
    return _give_back(session, held)


def _give_back(session: Session, lost: ColumnElement[bool]) -> list[str]:
    """Of jobs that have lost their workers, queue again those which may be tried again, and end the others."""
    done = _end(session, and_(lost, Job.cancel_requested), JobStatus.CANCELLED)
    for attempts in session.scalars(select(Job.max_attempts).where(lost).distinct()).all():
        tried = and_(lost, Job.max_attempts == attempts, Job.attempt >= attempts)
        done += _fail(session, and_(tried, fair.of_workers()), WORKER_LOST.format(attempts=attempts))
        done += _fail(session, tried, AGENT_LOST.format(attempts=attempts))
    again = update(Job).where(lost).values(status=JobStatus.QUEUED, progress={}, **_NOBODYS).returning(Job.id)
    back = list(session.scalars(again.execution_options(synchronize_session=False)))
    changed(session, *back)
    return done + back


def _fail(session: Session, which: ColumnElement[bool], message: str) -> list[str]:
    return _end(session, which, JobStatus.FAILED, error=message, failure=unexplained("HubError", message, AGAIN))


def unexplained(code: str, message: str, remedy: str = "") -> dict[str, Any]:
    """A failure that did not come from the conversion itself, in the form of `oakmill.conversion.failures`."""
    from oakmill.conversion.failures import Failure, Remedy

    remedies = (Remedy(text=remedy),) if remedy else ()
    failure = Failure(stage="", code=code, exit_code=10, rule="", title=message, sentence=message, remedies=remedies)
    return failure.model_dump(mode="json")


def fail_waiting(session: Session, job_id: str, error: OakmillError) -> bool:
    """End a job whose upload was refused; False when it waits no more."""
    waiting = and_(Job.id == job_id, Job.status == JobStatus.WAITING)
    failure = unexplained(error.code, error.message, error.remedy)
    return bool(_end(session, waiting, JobStatus.FAILED, error=error.message, failure=failure))


def cancel(session: Session, job_id: str) -> JobStatus | None:
    """Cancel a job: at once where no worker has it; else its worker is told. Returns the state, None for no job.

    A job that has ended stays as it ended.
    """
    unheld = and_(Job.id == job_id, Job.status.in_((JobStatus.WAITING, JobStatus.QUEUED)))
    if not _end(session, unheld, JobStatus.CANCELLED, cancel_requested=True):
        running = and_(Job.id == job_id, Job.status == JobStatus.RUNNING)
        session.execute(update(Job).where(running).values(cancel_requested=True))
        notify_at_commit(session, job_topic(job_id), control_topic(job_id))
    status = session.scalar(select(Job.status).where(Job.id == job_id))
    return JobStatus(status) if status else None


def prioritise(session: Session, job_id: str, priority: int) -> bool:
    """Move a waiting job before those of lower priority; False when it waits no more."""
    waiting = and_(Job.id == job_id, Job.status.in_((JobStatus.WAITING, JobStatus.QUEUED)))
    moved = session.execute(update(Job).where(waiting).values(priority=priority).returning(Job.id)).first()
    notify_at_commit(session, QUEUE, job_topic(job_id))
    return moved is not None


def is_idle(session: Session) -> bool:
    """Whether a worker has nothing to claim, and nothing to expire: looking waits for no writer."""
    waits = and_(Job.status == JobStatus.QUEUED, fair.of_workers())
    some = or_(waits, and_(Job.status == JobStatus.RUNNING, Job.lease_until < moment(session)))
    return session.scalar(select(Job.id).where(some).limit(1)) is None


def depth(session: Session) -> dict[str, int]:
    """How many jobs are in each of the states that they leave by themselves."""
    rows = session.execute(select(Job.status, func.count()).where(Job.status.in_(LIVE)).group_by(Job.status))
    return dict(rows.all())
