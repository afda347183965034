"""A team's own calibration sets: the team's alone, and never of a key that is for one model."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, false, or_, select
from sqlalchemy.orm import Session

from oakmill.registry import access, audit, rows, trash
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import checked_name, new_id, slugify
from oakmill.registry.tables import Dataset, Trash


def create(
    session: Session,
    caller: Caller,
    *,
    name: str,
    sha256: str,
    size: int,
    count: int = 0,
    report: dict[str, Any] | None = None,
) -> Dataset:
    """A new calibration set, whose zip is complete in the store.

    Raises:
        NoKey: No key was given.
        Forbidden: The key does not allow it, or is for one model only.
        SpecError: The name cannot be in an address.
        Conflict: The team has one of that name.
    """
    caller.require("convert")
    caller.require_whole_team()
    dataset = Dataset(
        id=new_id("aid"),
        team_id=caller.own_team(),
        name=checked_name(name),
        slug=slugify(name),
        sha256=sha256,
        size=size,
        count=count,
        report=report or {},
    )
    rows.add(
        session, dataset, taken=f"There is a calibration set {dataset.slug!r} already.", remedy="Choose another name."
    )
    audit.record(session, caller, "dataset.create", dataset.id, of_team=dataset.team_id, name=dataset.name)
    return dataset


def seen(session: Session, caller: Caller, name: str) -> Dataset:
    """The calibration set of that identifier or slug.

    Raises:
        NoKey: No key was given.
        NotFound: The caller's team has none of that name.
    """
    named = or_(Dataset.id == name, Dataset.slug == name)
    found = session.scalars(select(Dataset).where(_visible(caller), named).order_by(Dataset.id == name)).all()
    if not found:
        raise access.unseen(caller, "calibration set", name)
    return found[-1]


def listed(session: Session, caller: Caller) -> list[Dataset]:
    """The team's calibration sets by name.

    Raises:
        NoKey: No key was given.
        Forbidden: The key does not allow reading.
    """
    caller.require("read")
    return list(session.scalars(select(Dataset).where(_visible(caller)).order_by(Dataset.name, Dataset.id)))


def replace(
    session: Session, caller: Caller, name: str, *, sha256: str, size: int, count: int, report: dict[str, Any]
) -> None:
    """Put other bytes, complete in the store, in the place of the set's; the old ones are freed later.

    Raises:
        NoKey: No key was given.
        NotFound: The caller's team has none of that name.
        Forbidden: The key does not allow it.
    """
    dataset = seen(session, caller, name)
    caller.require("convert")
    dataset.sha256, dataset.size, dataset.count, dataset.report = sha256, size, count, report
    audit.record(session, caller, "dataset.replace", dataset.id, of_team=dataset.team_id, name=dataset.name)


def delete(session: Session, caller: Caller, name: str, *, keep: bool = False) -> Trash | None:
    """Delete the calibration set; with `keep` into the trash. Conversions made with it keep its hash in their recipe.

    Raises:
        NoKey: No key was given.
        NotFound: The caller's team has none of that name.
        Forbidden: The key does not allow it.
    """
    dataset = seen(session, caller, name)
    caller.require("convert")
    entry = trash.put_dataset(session, caller, dataset) if keep else None
    if not keep:
        session.delete(dataset)
    audit.record(session, caller, "dataset.delete", dataset.id, of_team=dataset.team_id, name=dataset.name)
    return entry


def _visible(caller: Caller) -> ColumnElement[bool]:
    there = Dataset.trash_id.is_(None)
    if caller.everywhere and caller.team_id is None:
        return there
    if caller.team_id is None or caller.model_id is not None or not caller.may("read"):
        return false()
    return there & (Dataset.team_id == caller.team_id)
