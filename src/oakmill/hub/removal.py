"""Deletes what a client or a person asks to delete: into the trash, and with it end the jobs that have not ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from oakmill.hub.state import Hub
from oakmill.jobs import queue
from oakmill.jobs.tables import LIVE, Job
from oakmill.registry import datasets, instances, models, trash, variants
from oakmill.registry.callers import Caller
from oakmill.registry.deletion import Deletable
from oakmill.registry.tables import Instance, Model, Trash, Variant, Version

Kind = Literal["models", "variants", "versions", "instances"]
_TABLES: dict[Kind, type[Deletable]] = {
    "models": Model, "variants": Variant, "versions": Version, "instances": Instance,
}  # fmt: skip
_DELETES: dict[Kind, Callable[..., Trash | None]] = {
    "models": models.delete,
    "variants": variants.delete,
    "versions": variants.delete_version,
    "instances": instances.delete,
}


def remove(at: Hub, session: Session, caller: Caller, kind: Kind, row_id: str, *, force: bool) -> None:
    """Delete a row with all below it.

    Jobs are ended before and after, for one that publishes its result holds its own row first, and then the model's.

    Raises:
        NotFound: The caller does not see it.
        NoKey: No key was given.
        Forbidden: It is another team's, or the key does not allow it.
        Conflict: Something depends on it, and `force` was not given.
    """
    if force:
        _end_jobs(session, kind, row_id)
    _DELETES[kind](session, caller, row_id, force=force, keep=at.settings.trash_days > 0)
    if force:
        _end_jobs(session, kind, row_id)


def _end_jobs(session: Session, kind: Kind, row_id: str) -> None:
    row: Any = session.get(_TABLES[kind], row_id, populate_existing=True)
    if row is None:
        return
    those = trash.instances_of(row)
    touched = or_(Job.source_id.in_(those), Job.result_id.in_(those))
    for job_id in session.scalars(select(Job.id).where(Job.status.in_(LIVE), touched)).all():
        queue.cancel(session, job_id)


def remove_dataset(at: Hub, session: Session, caller: Caller, name: str) -> None:
    """Delete a calibration set.

    Raises:
        NoKey, NotFound, Forbidden: as `datasets.delete`.
    """
    datasets.delete(session, caller, name, keep=at.settings.trash_days > 0)
