"""Deleting for good: what depends on a row is told first, and goes with it; the store's sweep frees its bytes later.

`trash.put` is what keeps it for a while.

The jobs' table is found by its name, for the registry does not know the jobs' part.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, ScalarSelect, Select, Table, func, or_, select
from sqlalchemy import delete as delete_rows
from sqlalchemy.orm import Session

from oakmill.errors import Conflict
from oakmill.registry import faces
from oakmill.registry.tables import Alias, Instance, Model, Origin, Variant, Version
from oakmill.storage.database import Base

Deletable = Model | Variant | Version | Instance
_LIVE = ("waiting", "queued", "running")


@dataclass(frozen=True)
class Dependants:
    """What goes with a row: instances below it or made from it, jobs that have not ended, aliases that point to it."""

    sources: int
    converted: int
    jobs: int
    aliases: int = 0

    def __bool__(self) -> bool:
        return bool(self.count)

    @property
    def count(self) -> int:
        """How many there are in all."""
        return self.sources + self.converted + self.jobs + self.aliases

    def __str__(self) -> str:
        named = (
            (self.sources, "uploaded instance", "uploaded instances"),
            (self.converted, "converted instance", "converted instances"),
            (self.jobs, "job under way", "jobs under way"),
            (self.aliases, "alias", "aliases"),
        )
        return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in named if count) or "nothing"


def dependants(session: Session, row: Deletable) -> Dependants:
    """What would go with the row."""
    those = below(row)
    counted = session.execute(
        select(Instance.origin, func.count())
        .where(Instance.id.in_(those), Instance.trash_id.is_(None))
        .group_by(Instance.origin)
    )
    counts = {str(origin): int(count) for origin, count in counted}
    made = counts.get(Origin.SOURCE, 0), counts.get(Origin.CONVERTED, 0)
    return Dependants(*made, _live_jobs(session, row, those), _aliases(session, row))


def _aliases(session: Session, row: Deletable) -> int:
    """How many aliases point to what goes."""
    if isinstance(row, Instance):
        return 0
    columns: dict[type[Deletable], ColumnElement[bool]] = {
        Model: Version.model_id == row.id,
        Variant: Version.variant_id == row.id,
        Version: Version.id == row.id,
    }
    counted = select(func.count()).select_from(Alias).join(Alias.version).where(columns[type(row)])
    return session.scalar(counted) or 0


def delete(session: Session, row: Deletable, *, force: bool) -> None:
    """Delete the row for good; the database deletes all below it.

    Raises:
        Conflict: Something depends on it, and `force` was not given.
    """
    if not force:
        require_alone(session, row)
    session.flush()
    session.execute(delete_rows(type(row)).where(type(row).id == row.id).execution_options(synchronize_session=False))
    session.expunge(row)
    if not isinstance(row, Model):
        faces.choose(session, row.model_id)


def delete_bare_variant(session: Session, variant_id: str) -> None:
    """Delete the variant for good, where it has no version any more."""
    variant = session.get(Variant, variant_id)
    left = session.scalar(select(func.count()).select_from(Version).where(Version.variant_id == variant_id))
    if variant is not None and not left:
        delete(session, variant, force=True)


def require_alone(session: Session, row: Deletable) -> None:
    """Go on only where nothing would go with the row.

    Raises:
        Conflict: Something would.
    """
    if found := dependants(session, row):
        what = type(row).__name__.lower()
        raise Conflict(
            f"{found} would go with the {what} {row.id!r}.",
            subject=row.id,
            remedy="Delete it with force, or those first.",
        )


def below(row: Deletable) -> Select[tuple[str]]:
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
