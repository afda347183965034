"""How long a team's results are kept: the latest of each variant and platform, or those that were used lately.

What a rule does not keep goes to the trash. No rule takes what was uploaded, what an alias points to, what another
result was made from, what a job is at, or what was made or downloaded within a day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from oakmill.registry import audit, rows, trash
from oakmill.registry.callers import HOUSEKEEPING
from oakmill.registry.tables import (
    Alias,
    Instance,
    InstanceFile,
    InstanceStatus,
    Model,
    Origin,
    Team,
    Variant,
    Version,
    Visibility,
)
from oakmill.storage.database import Base, now

GRACE = timedelta(days=1)
_LIVE = ("waiting", "queued", "running")


@dataclass(frozen=True)
class Due:
    """A result that the team's rule does not keep; `size` counts all its files, in bytes."""

    id: str
    model_id: str
    model: str
    variant: str
    version: str
    name: str
    platform: str
    size: int
    used: datetime


def due(session: Session, team: Team, *, of_model: str | None = None) -> list[Due]:
    """What would go now by the team's rule, by model, the oldest first; nothing where the team has none."""
    if team.keep_results is None and team.keep_days is None:
        return []
    used = func.coalesce(Instance.used, Instance.updated)
    place = func.row_number().over(
        partition_by=(Instance.variant_id, Instance.model_type, Instance.status),
        order_by=(Instance.created.desc(), Instance.id.desc()),
    )
    ranked = select(Instance.id, used.label("used"), place.label("place")).where(*_results(team, of_model)).subquery()
    size = select(func.coalesce(func.sum(InstanceFile.size), 0)).where(InstanceFile.instance_id == Instance.id)
    columns = (Instance, Model.name, Variant.name, Version.version, size.scalar_subquery(), ranked.c.used)
    query = select(*columns).join(ranked, ranked.c.id == Instance.id).join(Instance.model).join(Instance.variant)
    query = query.join(Instance.version).where(*_passed(team, ranked), *_free())
    found = session.execute(query.order_by(Model.name, Model.id, Instance.created, Instance.id))
    return [
        Due(row.id, row.model_id, model, variant, version, row.name, row.model_type, int(size), used)
        for row, model, variant, version, size, used in found
    ]


def _results(team: Team, of_model: str | None) -> Iterator[ColumnElement[bool]]:
    """What jobs made for the team, and nobody has deleted."""
    yield Instance.team_id == team.id
    yield Instance.trash_id.is_(None)
    yield Instance.visibility != Visibility.QUICK
    yield Instance.origin == Origin.CONVERTED
    yield Instance.job_id.is_not(None)
    yield Instance.status.in_([InstanceStatus.AVAILABLE, InstanceStatus.FAILED])
    if of_model is not None:
        yield Instance.model_id == of_model


def _passed(team: Team, ranked: Any) -> Iterator[ColumnElement[bool]]:
    """What neither of the team's numbers keeps."""
    yield ranked.c.used < now() - GRACE
    if team.keep_results is not None:
        yield ranked.c.place > team.keep_results
    if team.keep_days is not None:
        yield ranked.c.used < now() - timedelta(days=team.keep_days)


def _free() -> Iterator[ColumnElement[bool]]:
    """What nothing else needs. The jobs' table is found by its name, for the registry does not know that part."""
    child = aliased(Instance)
    yield Instance.version_id.not_in(select(Alias.version_id))
    yield ~exists().where(child.parent_id == Instance.id, child.trash_id.is_(None))
    jobs: Table | None = Base.metadata.tables.get("jobs")
    if jobs is not None:
        touched = or_(jobs.c.source_id == Instance.id, jobs.c.result_id == Instance.id)
        yield ~exists().where(jobs.c.status.in_(_LIVE), touched)


def run(session: Session, team: Team, model_id: str, *, keep: bool) -> list[Due]:
    """Put into the trash what of one model the team's rule does not keep; without `keep` delete it. What has gone.

    The model is held, and what is due is asked again: what was used or pointed to meanwhile stays.
    """
    rows.held_model(session, model_id, alone=True)
    gone = due(session, team, of_model=model_id)
    for item in gone:
        row = session.get_one(Instance, item.id)
        trash.remove(session, HOUSEKEEPING, row, force=True, keep=keep, why=trash.RETENTION)
        detail = {"name": item.name, "size": item.size}
        audit.record(session, HOUSEKEEPING, "instance.retire", item.id, of_team=team.id, **detail)
    return gone


def models_due(session: Session, team: Team) -> list[str]:
    """The models of which something is due."""
    return list(dict.fromkeys(item.model_id for item in due(session, team)))
