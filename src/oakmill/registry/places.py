"""Places that wait for a model's files: found again by their names, and taken away when what came is no model."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from oakmill.errors import Conflict
from oakmill.registry import access, instances, models, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import slugify
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Model, Variant, Version


def waiting(session: Session, caller: Caller, model: str, variant: str) -> Instance | None:
    """The source that the team's model of that name waits for, where that is all that the model has."""
    named = select(Model.id).where(Model.team_id == caller.own_team(), Model.slug == slugify(model))
    found = session.scalars(
        select(Instance).where(Instance.model_id.in_(named), Instance.trash_id.is_(None)).limit(2)
    ).all()
    if len(found) != 1 or not _is_empty(session, found[0]):
        return None
    place = session.get_one(Variant, found[0].variant_id)
    return access.changeable(session, caller, Instance, found[0].id) if place.slug == slugify(variant) else None


def withdraw(session: Session, caller: Caller, instance_id: str, *, with_model: bool) -> None:
    """Take an empty place away, and what was made for it alone: its version, its variant, and the model if told so.

    Raises:
        NotFound, NoKey, Forbidden: as `access.changeable`.
        Conflict: files have come.
    """
    row = access.changeable(session, caller, Instance, instance_id)
    if not _is_empty(session, row):
        raise Conflict(f"Files of {row.name!r} have come.", subject=row.id, remedy="Delete it on its own page.")
    model_id, version_id = row.model_id, row.version_id
    instances.delete(session, caller, instance_id)
    if not _below(session, Instance.version_id == version_id):
        variants.delete_version(session, caller, version_id)
    if with_model and not _below(session, Version.model_id == model_id):
        models.delete(session, caller, model_id)


def _is_empty(session: Session, row: Instance) -> bool:
    if row.status != InstanceStatus.PENDING or row.parent_id is not None:
        return False
    return not _below(session, InstanceFile.instance_id == row.id)


def _below(session: Session, is_below: ColumnElement[bool]) -> bool:
    return bool(session.scalar(select(func.count()).where(is_below)))
