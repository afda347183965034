"""Instances: one file for one platform, uploaded or converted, with its lineage and its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from oakmill.errors import Conflict, SpecError
from oakmill.registry import access, audit, rows, trash
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import checked_file_name, checked_name, new_id
from oakmill.registry.tables import (
    TRASHED,
    Instance,
    InstanceFile,
    InstanceStatus,
    Model,
    Origin,
    Role,
    Trash,
    Variant,
    Version,
)
from oakmill.registry.variants import below
from oakmill.registry.words import model_types
from oakmill.storage.database import now

SHORT = 7
"""Letters of a hash in addresses and slugs; HubAI's clients take no more."""
_SLUG_ROOM = 200


class Facts(TypedDict, total=False):
    """What is known of an instance; more becomes known when its file has come."""

    description: str | None
    is_nn_archive: bool
    precision: str | None
    tool_version: str | None
    input_shape: Sequence[Sequence[int | str | None]]
    quantization_data: str | None
    verdict: str | None
    facts: dict[str, Any]
    parameters: dict[str, Any]
    tags: Sequence[str]
    yolo_version: str | None
    job_id: str | None
    imported: dict[str, Any] | None


def create(
    session: Session,
    caller: Caller,
    version_id: str,
    *,
    name: str,
    model_type: str,
    parent_id: str | None = None,
    **facts: Unpack[Facts],
) -> Instance:
    """A new instance, pending until its file has come; with a parent it is a converted one.

    Raises:
        NotFound: The caller does not see the version or the parent.
        NoKey: No key was given.
        Forbidden: It is another team's, or the key does not allow it.
        SpecError: The name or the type is not one that is known, or the parent is another model's.
    """
    version = access.changeable(session, caller, Version, version_id)
    model = rows.held_model(session, version.model_id)
    version = access.changeable(session, caller, Version, version_id)  # as of now: it may have gone meanwhile
    _require_parent(session, caller, model, parent_id)
    instance = Instance(
        id=new_id("aimi"),
        **below(model),
        variant_id=version.variant_id,
        version_id=version.id,
        parent_id=parent_id,
        name=checked_name(name),
        origin=Origin.CONVERTED if parent_id else Origin.SOURCE,
        model_type=_known(model_type),
        **_columns(facts),
    )
    _rename(session, instance)
    session.add(instance)
    session.flush()
    version.updated = model.updated = now()
    audit.record(session, caller, "instance.create", instance.id, of_team=model.team_id, name=instance.name)
    return instance


def require_open(row: Instance) -> None:
    """Go on only for a source whose files are still to come.

    Raises:
        Conflict: it has them, or is a conversion's result.
    """
    if row.status != InstanceStatus.PENDING or row.parent_id is not None:
        raise Conflict(f"The instance {row.name} takes no more files.", subject=row.id)


def _require_parent(session: Session, caller: Caller, model: Model, parent_id: str | None) -> None:
    if parent_id is not None and access.seen(session, caller, Instance, parent_id).model_id != model.id:
        raise SpecError(
            f"The parent {parent_id!r} belongs to another model.",
            subject=parent_id,
            remedy="Name an instance of the same model.",
        )


def _known(model_type: str) -> str:
    if model_type not in model_types():
        raise SpecError(
            f"The type of an instance cannot be {model_type!r}.",
            subject=model_type,
            remedy=f"Choose among {', '.join(model_types())}.",
        )
    return model_type


def _columns(facts: Facts) -> dict[str, Any]:
    columns: dict[str, Any] = dict(facts)
    if "input_shape" in columns:
        columns["input_shape"] = [list(shape) for shape in columns["input_shape"]]
    if "tags" in columns:
        columns["tags"] = list(columns["tags"])
    return columns


def _rename(session: Session, instance: Instance) -> None:
    """The slug says variant, type and hash; as long as there is no hash, the identifier's tail stands for it."""
    variant = session.get_one(Variant, instance.variant_id)
    short = instance.sha256[:SHORT] if instance.sha256 else instance.id[-SHORT:].lower()
    instance.slug = f"{variant.slug[:_SLUG_ROOM]}-{instance.model_type.lower()}-{short}"
    instance.words = rows.words(instance.name, instance.slug, tags=instance.tags or [])


def add_file(
    session: Session, instance: Instance, *, name: str, sha256: str, size: int, role: str = Role.MODEL
) -> InstanceFile:
    """Name a file of the instance, complete in the store; the model's own gives the instance its hash."""
    file = InstanceFile(
        id=new_id("aimf"), instance_id=instance.id, name=checked_file_name(name), role=role, sha256=sha256, size=size
    )
    session.add(file)
    if role == Role.MODEL:
        instance.sha256, instance.size = sha256, size
        _rename(session, instance)
    session.flush()
    return file


def set_available(session: Session, instance: Instance, **facts: Unpack[Facts]) -> None:
    """The instance can be used from now on: its files are all there.

    Raises:
        SpecError: It has no file of its own.
    """
    if instance.sha256 is None:
        raise SpecError(
            f"The instance {instance.id!r} has no file.", subject=instance.id, remedy="Upload its file first."
        )
    _set(session, instance, InstanceStatus.AVAILABLE, facts)


def update(session: Session, instance: Instance, *, model_type: str | None = None, **facts: Unpack[Facts]) -> None:
    """Note what became known of the instance.

    Raises:
        SpecError: The type is not one that is known.
    """
    if model_type is not None:
        instance.model_type = _known(model_type)
    _set(session, instance, InstanceStatus(instance.status), facts)


def _set(session: Session, instance: Instance, status: InstanceStatus, facts: Facts) -> None:
    instance.status = status
    for key, value in _columns(facts).items():
        setattr(instance, key, value)
    _rename(session, instance)
    session.flush()


def instance(session: Session, caller: Caller, instance_id: str) -> Instance:
    """The instance with its `files`.

    Raises:
        NotFound: The caller does not see it.
        NoKey: The caller gave no key, and without one nothing is to be seen here.
    """
    return access.seen(session, caller, Instance, instance_id, selectinload(Instance.files))


def files_of(session: Session, instance: Instance) -> list[InstanceFile]:
    """The instance's files in the order in which they came."""
    query = select(InstanceFile).where(InstanceFile.instance_id == instance.id)
    return list(session.scalars(query.order_by(InstanceFile.created, InstanceFile.id)))


def lineage(session: Session, instance: Instance) -> list[Instance]:
    """From what the instance was made: its parent, its parent's parent, to the source."""
    found: list[Instance] = []
    parent_id = instance.parent_id
    while parent_id is not None and parent_id not in {row.id for row in found}:
        parent = session.get(Instance, parent_id)
        if parent is None:
            break
        found.append(parent)
        parent_id = parent.parent_id
    return found


def children(session: Session, instance: Instance) -> list[Instance]:
    """What was made from the instance, the latest first."""
    query = select(Instance).where(Instance.parent_id == instance.id, Instance.visibility != TRASHED)
    return list(session.scalars(query.order_by(Instance.created.desc(), Instance.id)))


def delete(
    session: Session, caller: Caller, instance_id: str, *, force: bool = False, keep: bool = False
) -> Trash | None:
    """Delete the instance, its files' names and what was made from it; with `keep` into the trash.

    Raises:
        NotFound: The caller does not see it.
        NoKey: No key was given.
        Forbidden: It is another team's, or the key does not allow it.
        Conflict: Something depends on it, and `force` was not given.
    """
    row = access.changeable(session, caller, Instance, instance_id)
    team_id, name = row.team_id, row.name
    entry = trash.remove(session, caller, row, force=force, keep=keep)
    audit.record(session, caller, "instance.delete", instance_id, of_team=team_id, name=name)
    return entry
