"""The list of jobs that a caller sees, the latest first, page by page: for the API and for the pages."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from oakmill.hub import visibility
from oakmill.jobs.tables import Job
from oakmill.registry.callers import Caller

Conditions = list[ColumnElement[bool]]


def conditions(caller: Caller, *, status: Collection[str] = (), **equal: str | None) -> Conditions:
    """The jobs that the caller sees, of these states, and with these values in columns where they are given."""
    found: Conditions = [visibility.jobs(caller)]
    if status:
        found.append(Job.status.in_(status))
    given = {name: value.replace("\0", "") for name, value in equal.items() if value is not None}
    return found + [getattr(Job, name) == value for name, value in given.items()]


def page(
    session: Session, conditions: Conditions, limit: int, before: int | None = None
) -> tuple[Sequence[Job], int | None]:
    """At most `limit` jobs with numbers below `before`; and the last one's number, where more follow."""
    query = select(Job).where(*conditions).order_by(Job.number.desc()).limit(limit + 1)
    found = session.scalars(query if before is None else query.where(Job.number < before)).all()
    return found[:limit], found[limit - 1].number if len(found) > limit else None
