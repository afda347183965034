"""The trash: what is deleted goes out of sight with all below it, and for some days it can be restored.

What lies there names its bytes still, so they count; its name is free. The model's row is held for each deed, so that
nothing is added below what goes, and two deeds come one after the other.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, false, func, or_, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, NotFound
from oakmill.registry import access, audit, deletion, faces, rows
from oakmill.registry.callers import Caller
from oakmill.registry.deletion import Deletable
from oakmill.registry.identifiers import LONGEST, checked_name, new_id, slugify
from oakmill.registry.semver import Semver
from oakmill.registry.tables import (
    TRASHED,
    Dataset,
    Instance,
    InstanceFile,
    Model,
    Trash,
    Variant,
    Version,
    Visibility,
)
from oakmill.storage.database import now

DELETED, RETENTION = "deleted", "retention"
_AT_ONCE = 50
_KINDS: dict[str, type[Deletable] | type[Dataset]] = {
    "model": Model, "variant": Variant, "version": Version, "instance": Instance, "dataset": Dataset,
}  # fmt: skip
_ABOVE = ("model", "variant", "version")


def remove(
    session: Session, caller: Caller, row: Deletable, *, force: bool, keep: bool, why: str = DELETED
) -> Trash | None:
    """Delete the row: into the trash, or for good.

    Raises:
        NotFound, Conflict: as `put`.
    """
    if keep:
        return put(session, caller, row, force=force, why=why)
    deletion.delete(session, row, force=force)
    return None


def put(session: Session, caller: Caller, row: Deletable, *, force: bool, why: str = DELETED) -> Trash | None:
    """Put the row into the trash, with all that is below it or was made from it; where no file is, it is deleted.

    Raises:
        NotFound: It is gone by now.
        Conflict: Something depends on it, and `force` was not given.
    """
    model = rows.held_model(session, row.id if isinstance(row, Model) else row.model_id, alone=True)
    _require_there(session, row)
    if not force:
        deletion.require_alone(session, row)
    if _is_empty(session, row):
        deletion.delete(session, row, force=True)
        return None
    entry = _entry(session, caller, model, row, why)
    session.add(entry)
    session.flush()
    _mark(session, row, entry)
    session.expire_all()
    faces.choose(session, model.id)
    return entry


def put_dataset(session: Session, caller: Caller, row: Dataset) -> Trash:
    """Put a calibration set into the trash."""
    entry = Trash(
        id=new_id("aix"), team_id=row.team_id, kind="dataset", dataset_id=row.id, name=row.name, slug=row.slug,
        visibility=Visibility.TEAM, **_who(caller, DELETED),
    )  # fmt: skip
    session.add(entry)
    row.trash_id, row.slug = entry.id, entry.id
    session.flush()
    return entry


def _who(caller: Caller, why: str) -> dict[str, Any]:
    return {"key_id": caller.key_id, "who": caller.user_name or caller.key_name, "why": why}


def _require_there(session: Session, row: Deletable) -> None:
    kind = type(row)
    if session.scalar(select(kind.id).where(kind.id == row.id, kind.trash_id.is_(None))) is None:
        raise NotFound(f"{row.id!r} is deleted already.", subject=row.id, remedy="Look into the trash.")


def _is_empty(session: Session, row: Deletable) -> bool:
    """Whether nothing would be lost: no file, no card."""
    if isinstance(row, Model) and row.card:
        return False
    named = select(InstanceFile.id).where(InstanceFile.instance_id.in_(instances_of(row))).limit(1)
    return session.scalar(named) is None


def instances_of(row: Deletable) -> Any:
    """The identifiers of instances that go with the row, itself among them."""
    those = deletion.below(row)
    return those.union(select(Instance.id).where(Instance.id == row.id)) if isinstance(row, Instance) else those


def _entry(session: Session, caller: Caller, model: Model, row: Deletable, why: str) -> Trash:
    kind = type(row).__name__.lower()
    above = {f"{name}_id": getattr(row, f"{name}_id", None) for name in _ABOVE}
    return Trash(
        id=new_id("aix"),
        team_id=model.team_id,
        kind=kind,
        **{**above, f"{kind}_id": row.id},
        name=_full_name(session, model, row)[:LONGEST],
        slug=row.version if isinstance(row, Version) else row.slug,
        visibility=model.visibility,
        owner_id=model.owner_key_id,
        **_who(caller, why),
    )


def _full_name(session: Session, model: Model, row: Deletable) -> str:
    """How people find what it was: model / variant version / instance."""
    if isinstance(row, Model):
        return row.name
    variant = row if isinstance(row, Variant) else session.get_one(Variant, row.variant_id)
    version = row if isinstance(row, Version) else None
    if isinstance(row, Instance):
        version = session.get_one(Version, row.version_id)
    place = f"{model.name} / {variant.name}" + (f" {version.version}" if version else "")
    return f"{place} / {row.name}" if isinstance(row, Instance) else place


def _mark(session: Session, row: Deletable, entry: Trash) -> None:
    """Mark all that goes and is in use as yet; the name of the row itself is free from now on."""
    hidden = {"trash_id": entry.id, "visibility": TRASHED}
    marks: list[tuple[Any, Any, dict[str, Any]]] = [(Instance, Instance.id.in_(instances_of(row)), hidden)]
    if isinstance(row, Model):
        marks.append((Version, Version.model_id == row.id, hidden))
        marks.append((Variant, Variant.model_id == row.id, {"trash_id": entry.id}))
        marks.append((Model, Model.id == row.id, {**hidden, "slug": entry.id}))
    elif isinstance(row, Variant):
        marks.append((Version, Version.variant_id == row.id, hidden))
        marks.append((Variant, Variant.id == row.id, {"trash_id": entry.id, "slug": entry.id}))
    elif isinstance(row, Version):
        marks.append((Version, Version.id == row.id, {**hidden, "version": entry.id}))
    for kind, those, values in marks:
        _set(session, kind, those & kind.trash_id.is_(None), values)


def _set(session: Session, kind: Any, those: ColumnElement[bool], values: dict[str, Any]) -> None:
    """Change rows, which is no change of what they say."""
    change = update(kind).where(those).values(**values, updated=kind.updated)
    session.execute(change.execution_options(synchronize_session=False))


def listed(session: Session, caller: Caller, *, limit: int = 500) -> list[Trash]:
    """What lies in the trash that the caller may restore, what was put there last first; the operator sees all teams'.

    Raises:
        NoKey: No key was given.
        Forbidden: The key does not allow changes.
    """
    caller.require("convert")
    return list(session.scalars(select(Trash).where(_visible(caller)).order_by(Trash.at.desc(), Trash.id).limit(limit)))


def one(session: Session, caller: Caller, trash_id: str) -> Trash:
    """The entry of that identifier.

    Raises:
        NoKey, Forbidden: as `listed`.
        NotFound: There is none that the caller sees.
    """
    return _found(session, caller, select(Trash), trash_id)


def sizes(session: Session, entries: list[Trash]) -> dict[str, int]:
    """How many bytes the files of each name; some may be named by others, too."""
    ids = [entry.id for entry in entries]
    files = select(Instance.trash_id, func.sum(InstanceFile.size)).join(Instance.files)
    found = session.execute(files.where(Instance.trash_id.in_(ids)).group_by(Instance.trash_id)).all()
    sets = session.execute(select(Dataset.trash_id, Dataset.size).where(Dataset.trash_id.in_(ids))).all()
    return {str(entry): int(size) for entry, size in (*found, *sets)}


def _visible(caller: Caller) -> ColumnElement[bool]:
    if caller.everywhere and caller.team_id is None:
        return true()
    if caller.team_id is None:
        return false()
    mine = Trash.team_id == caller.team_id
    if caller.model_id is not None:
        mine &= Trash.model_id == caller.model_id
    if not caller.may("admin"):
        own = Trash.owner_id == caller.owner_id
        mine &= or_(Trash.visibility.not_in([Visibility.PRIVATE, Visibility.QUICK]), own)
    return mine


def restore(session: Session, caller: Caller, trash_id: str, *, name: str | None = None) -> Trash:
    """Bring back what was put into the trash together; `name` is another one where its own is taken by now.

    Raises:
        NoKey: No key was given.
        Forbidden: The key does not allow changes.
        NotFound: There is no such entry that the caller sees: it may have gone for good.
        SpecError: The name is not one.
        Conflict: What it stood below is in the trash too; or its name is taken.
    """
    entry = _held(session, caller, trash_id)
    kind = _KINDS[entry.kind]
    model = rows.held_model(session, entry.model_id, alone=True, trashed=True) if entry.model_id else None
    row: Any = session.get_one(kind, _row_id(entry), populate_existing=True)
    _require_place(session, entry, row)
    _name_again(session, entry, row, name)
    if model is not None:
        seen = entry.visibility if entry.kind == "model" else model.visibility
        for level in (Model, Version, Instance):
            _set(session, level, level.trash_id == entry.id, {"trash_id": None, "visibility": seen})
        _set(session, Variant, Variant.trash_id == entry.id, {"trash_id": None})
    else:
        row.trash_id = None
    session.delete(entry)
    session.flush()
    session.expire_all()
    if model is not None:
        faces.choose(session, model.id)
    audit.record(session, caller, f"{entry.kind}.restore", row.id, of_team=entry.team_id, name=entry.name)
    return entry


def _held(session: Session, caller: Caller, trash_id: str) -> Trash:
    """The entry, which nobody restores or empties meanwhile."""
    alone = select(Trash).with_for_update().execution_options(populate_existing=True)
    return _found(session, caller, alone, trash_id)


def _found(session: Session, caller: Caller, entries: Select[Trash], trash_id: str) -> Trash:
    caller.require("convert")
    entry = session.scalars(entries.where(Trash.id == trash_id, _visible(caller))).first()
    if entry is None:
        raise access.unseen(caller, "entry of the trash", trash_id)
    return entry


def _row_id(entry: Trash) -> str:
    return str(getattr(entry, f"{entry.kind}_id"))


def _require_place(session: Session, entry: Trash, row: Any) -> None:
    """What it stood below, or was made from, has to be in use."""
    above: list[tuple[str, Any]] = [
        (name, session.get(_KINDS[name], getattr(entry, f"{name}_id")))
        for name in _ABOVE
        if name != entry.kind and getattr(entry, f"{name}_id")
    ]
    if isinstance(row, Instance) and row.parent_id:
        above.append(("source", session.get(Instance, row.parent_id)))
    for name, there in above:
        if there is not None and there.trash_id not in (None, entry.id):
            raise Conflict(
                f"The {name} of {entry.name!r} is in the trash, too.",
                subject=there.trash_id,
                remedy=f"Restore that first: {there.trash_id}.",
            )


def _name_again(session: Session, entry: Trash, row: Any, name: str | None) -> None:
    """Give it its name back, or another.

    Raises:
        SpecError: The name is not one.
        Conflict: It is taken.
    """
    if isinstance(row, Instance):
        return
    if isinstance(row, Version):
        called = "version"
        wanted = name or entry.slug
        place = Semver.parse(wanted)
        row.major, row.minor, row.patch = place.major, place.minor, place.patch
    else:
        called = "slug"
        wanted = slugify(name) if name else entry.slug
        row.name = checked_name(name) if name else row.name
    try:
        with session.begin_nested():
            setattr(row, called, wanted)
            session.flush()
    except IntegrityError:
        raise Conflict(
            f"There is a {entry.kind} {wanted!r} by now.", subject=wanted, remedy="Restore it under another name."
        ) from None


def purge(session: Session, caller: Caller, trash_id: str) -> Trash:
    """Delete for good what was put into the trash together; its bytes are freed later.

    Raises:
        NoKey, Forbidden, NotFound: as `restore`.
    """
    entry = _held(session, caller, trash_id)
    _purge(session, caller, entry)
    return entry


def empty(session: Session, caller: Caller, *, older_than: timedelta | None, team_id: str | None = None) -> bool:
    """Delete for good what has lain so long, of one team or of all; whether there may be more. None is all that lies.

    What is being restored is passed over.
    """
    old = select(Trash).order_by(Trash.at, Trash.id).limit(_AT_ONCE)
    if older_than is not None:
        old = old.where(Trash.at < now() - older_than)
    if team_id is not None:
        old = old.where(Trash.team_id == team_id)
    found = session.scalars(old.with_for_update(skip_locked=True)).all()
    for entry in found:
        if session.get(Trash, entry.id, populate_existing=True) is not None:  # it may have gone with another's row
            _purge(session, caller, entry)
    return len(found) == _AT_ONCE


def _purge(session: Session, caller: Caller, entry: Trash) -> None:
    audit.record(session, caller, f"{entry.kind}.purge", _row_id(entry), of_team=entry.team_id, name=entry.name)
    session.flush()
    row: Any = session.get_one(_KINDS[entry.kind], _row_id(entry))
    session.expunge(entry)  # it goes with the row
    if isinstance(row, Dataset):
        session.delete(row)
        session.flush()
        return
    deletion.delete(session, row, force=True)
    if isinstance(row, Version):
        deletion.delete_bare_variant(session, row.variant_id)
