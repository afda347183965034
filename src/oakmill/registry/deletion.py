"""Deleting: what depends on a row is told first, and goes with it; bytes are freed later, by the store's sweep.

The jobs' table is found by its name, for the registry does not know the jobs' part.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, ScalarSelect, Select, Table, func, or_, select
from sqlalchemy import delete as delete_rows
from sqlalchemy.orm import Session

from oakmill.errors import Conflict
from oakmill.registry import faces
from oakmill.registry.tables import Instance, Model, Origin, Variant, Version
from oakmill.storage.database import Base

Deletable = Model | Variant | Version | Instance
_LIVE = ("waiting", "queued", "running")


@dataclass(frozen=True)
class Dependants:
    """What goes with a row: instances below it or made from it, and jobs that have not ended."""

    sources: int
    converted: int
    jobs: int

    def __bool__(self) -> bool:
        return bool(self.sources or self.converted or self.jobs)

    def __str__(self) -> str:
        named = (
            (self.sources, "uploaded instance"),
            (self.converted, "converted instance"),
            (self.jobs, "job under way"),
        )
        return ", ".join(f"{count} {what}{'s' * (count != 1)}" for count, what in named if count) or "nothing"


def dependants(session: Session, row: Deletable) -> Dependants:
    """What would go with the row."""
    below = _below(row)
    counted = session.execute(
        select(Instance.origin, func.count()).where(Instance.id.in_(below)).group_by(Instance.origin)
    )
    counts = {str(origin): int(count) for origin, count in counted}
    return Dependants(counts.get(Origin.SOURCE, 0), counts.get(Origin.CONVERTED, 0), _live_jobs(session, row, below))


def delete(session: Session, row: Deletable, *, force: bool) -> None:
    """Delete the row; the database deletes all below it.

    Raises:
        Conflict: Something depends on it, and `force` was not given.
    """
    if not force and (found := dependants(session, row)):
        what = type(row).__name__.lower()
        raise Conflict(
            f"{found} would go with the {what} {row.id!r}.",
            subject=row.id,
            remedy="Delete it with force, or those first.",
        )
    session.flush()
    session.execute(delete_rows(type(row)).where(type(row).id == row.id).execution_options(synchronize_session=False))
    session.expunge(row)
    if not isinstance(row, Model):
        faces.choose(session, row.model_id)


def _below(row: Deletable) -> Select[tuple[str]]:
    """The identifiers of instances that go with the row, itself left out."""
    start: ColumnElement[bool]
    if isinstance(row, Model):
        start = Instance.model_id == row.id
    elif isinstance(row, Variant):
        start = Instance.variant_id == row.id
    elif isinstance(row, Version):
        start = Instance.version_id == row.id
    else:
        start = Instance.parent_id == row.id
    tree = select(Instance.id).where(start).cte("below", recursive=True)
    tree = tree.union(select(Instance.id).join(tree, Instance.parent_id == tree.c.id))
    return select(tree.c.id)


def _live_jobs(session: Session, row: Deletable, below: Select[tuple[str]]) -> int:
    jobs: Table | None = Base.metadata.tables.get("jobs")
    if jobs is None:
        return 0
    touched: list[ColumnElement[bool]] = [jobs.c.source_id.in_(below), jobs.c.result_id.in_(below)]
    if isinstance(row, Instance):
        touched += [jobs.c.source_id == row.id, jobs.c.result_id == row.id]
    counted: ScalarSelect[int] = (
        select(func.count()).select_from(jobs).where(jobs.c.status.in_(_LIVE), or_(*touched)).scalar_subquery()
    )
    return int(session.scalar(select(counted)) or 0)
