"""Which workers there are, on whatever machine: each writes when it was last heard of, and reads whether to go on."""

from __future__ import annotations

import os
import socket
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from oakmill import __version__
from oakmill.errors import NotFound
from oakmill.jobs.notify import QUEUE, notify_at_commit
from oakmill.jobs.tables import Job, JobStatus, WorkerRow
from oakmill.storage.database import moment

SILENT = timedelta(seconds=60)
"""Who was not heard of for longer is not counted on."""
GONE = timedelta(hours=1)
"""After this time it is forgotten."""


def enter(session: Session, name: str, memory_mb: int) -> None:
    """A worker begins; those that have been silent for long are forgotten."""
    present = moment(session)
    session.execute(delete(WorkerRow).where(WorkerRow.beat < present - GONE))
    row = WorkerRow(
        name=name,
        machine=socket.gethostname(),
        pid=os.getpid(),
        version=__version__,
        memory_mb=memory_mb,
        since=present,
        beat=present,
    )
    session.merge(row)


def beat(session: Session, name: str, job_id: str | None) -> bool:
    """A worker lives, and runs that job or none; False where it was forgotten, and has to enter again."""
    heard = update(WorkerRow).where(WorkerRow.name == name).values(beat=moment(session), job_id=job_id)
    return session.scalar(heard.returning(WorkerRow.name)) is not None


def leave(session: Session, name: str) -> None:
    """A worker ends."""
    session.execute(delete(WorkerRow).where(WorkerRow.name == name))


def listed(session: Session) -> list[WorkerRow]:
    """All that were heard of in the last hour, by machine."""
    recent = select(WorkerRow).where(WorkerRow.beat >= moment(session) - GONE)
    return list(session.scalars(recent.order_by(WorkerRow.machine, WorkerRow.since, WorkerRow.name)))


def is_silent(session: Session, row: WorkerRow) -> bool:
    """Whether it was not heard of for so long that nobody counts on it."""
    return row.beat < moment(session) - SILENT


def ready(session: Session) -> int:
    """How many workers live and take jobs."""
    alive = (WorkerRow.beat >= moment(session) - SILENT, WorkerRow.paused.is_(False))
    return session.scalar(select(func.count()).select_from(WorkerRow).where(*alive)) or 0


def begun(session: Session) -> set[str]:
    """The names of those that have a job, or are not counted on to take one."""
    busy = select(Job.lease_owner).where(Job.status == JobStatus.RUNNING, Job.lease_owner.is_not(None))
    silent = select(WorkerRow.name).where(WorkerRow.beat < moment(session) - SILENT)
    return set(session.scalars(busy.union(silent)))


def pause(session: Session, name: str, *, paused: bool) -> None:
    """Let a worker take no further job once it has ended the one that it runs, or let it go on.

    Raises:
        NotFound: there is no such worker.
    """
    changed = update(WorkerRow).where(WorkerRow.name == name).values(paused=paused).returning(WorkerRow.name)
    if session.scalar(changed) is None:
        raise NotFound(f"There is no worker {name!r}.", subject=name, remedy="It has ended; look at those that run.")
    notify_at_commit(session, QUEUE)
