"""Keeps what a job tells: lines that are numbered through, so that a reader resumes where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from oakmill.jobs.notify import job_topic, notify_at_commit
from oakmill.jobs.tables import LogLine
from oakmill.storage.database import now

MOST_LINES = 20_000
LONGEST_LINE = 4000
_FULL = "the log is full: what follows is left out"


@dataclass(frozen=True)
class Line:
    """A line on its way into the log; `kind` is an event's: log, note, warning, started, finished, error."""

    text: str
    stage: str = ""
    kind: str = "log"
    at: datetime = field(default_factory=now)


def append(session: Session, job_id: str, attempt: int, lines: Sequence[Line]) -> int:
    """Add lines and return the number of the last one. Beyond MOST_LINES one line says that the rest is left out.

    The caller holds the job's row, as `queue.record` does, so that no two number their lines alike.
    """
    last = last_number(session, job_id)
    room = MOST_LINES - last
    if room < 0 or not lines:
        return last
    kept = list(lines[:room])
    if len(lines) > room:
        kept.append(Line(_FULL, lines[-1].stage, "warning"))
    rows = [_row(job_id, attempt, number, line) for number, line in enumerate(kept, last + 1)]
    session.execute(insert(LogLine), rows)
    notify_at_commit(session, job_topic(job_id))
    return last + len(kept)


def _row(job_id: str, attempt: int, number: int, line: Line) -> dict[str, object]:
    return {
        "job_id": job_id,
        "number": number,
        "at": line.at,
        "attempt": attempt,
        "stage": line.stage[:16],
        "kind": line.kind[:16],
        "text": storable(line.text)[:LONGEST_LINE],
    }


def storable(text: str) -> str:
    """Text as every database takes it: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


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
