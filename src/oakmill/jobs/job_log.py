"""Keeps what a job tells: lines that are numbered through, so that a reader resumes where it stopped."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from oakmill.jobs.notify import job_topic, notify_at_commit
from oakmill.jobs.tables import LogLine
from oakmill.jobs.told import Line, storable

__all__ = ["Line", "append", "last_number", "read", "tail"]

FIRST_LINES = 1_000
LAST_LINES = 20_000
"""A log that is longer keeps so many of its lines: how it began, and how it ended."""
LONGEST_LINE = 4000
_TRIMMED_AT_ONCE = 1_000  # so that not every batch trims


def append(session: Session, job_id: str, attempt: int, lines: Sequence[Line]) -> int:
    """Add lines and return the number of the last one. Of a log that is too long the middle goes, and a line says so.

    The caller holds the job's row, as `queue.record` does, so that no two number their lines alike.
    """
    last = last_number(session, job_id)
    if not lines:
        return last
    rows = [_row(job_id, attempt, number, line) for number, line in enumerate(lines, last + 1)]
    session.execute(insert(LogLine), rows)
    notify_at_commit(session, job_topic(job_id))
    last += len(rows)
    _trim(session, job_id, last)
    return last


def _trim(session: Session, job_id: str, last: int) -> None:
    """Leave the middle out: the first line of it says which lines it was."""
    said, until = FIRST_LINES + 1, last - LAST_LINES
    if until <= said:
        return
    middle = (LogLine.job_id == job_id, LogLine.number > said)
    oldest = session.scalar(select(func.min(LogLine.number)).where(*middle))
    if oldest is None or until - oldest < _TRIMMED_AT_ONCE:
        return
    session.execute(delete(LogLine).where(*middle, LogLine.number <= until))
    told = f"the log is long: its lines {said} to {until} are left out"
    marked = update(LogLine).where(LogLine.job_id == job_id, LogLine.number == said)
    session.execute(marked.values(text=told, kind="warning"))


def _row(job_id: str, attempt: int, number: int, line: Line) -> dict[str, object]:
    return {
        "job_id": job_id,
        "number": number,
        "at": line.at,
        "attempt": attempt,
        "stage": storable(line.stage)[:16],
        "kind": line.kind[:16],
        "text": storable(line.text)[:LONGEST_LINE],
    }


def last_number(session: Session, job_id: str) -> int:
    """The number of a job's last line; 0 when there is none."""
    return session.scalar(select(func.max(LogLine.number)).where(LogLine.job_id == job_id)) or 0


def read(session: Session, job_id: str, after: int = 0, limit: int = 1000) -> Sequence[LogLine]:
    """The lines that follow number `after`, at most `limit` of them."""
    wanted = select(LogLine).where(LogLine.job_id == job_id, LogLine.number > after)
    return session.scalars(wanted.order_by(LogLine.number).limit(limit)).all()


def tail(session: Session, job_id: str, count: int = 100) -> Sequence[LogLine]:
    """The last lines, in order."""
    wanted = select(LogLine).where(LogLine.job_id == job_id).order_by(LogLine.number.desc()).limit(count)
    return session.scalars(wanted).all()[::-1]
