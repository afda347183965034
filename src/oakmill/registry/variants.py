"""Variants and their versions: a variant is a flavour of a model, a version its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, joinedload

from oakmill.registry import access, audit, deletion, rows, trash
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import checked_name, new_id, slugify
from oakmill.registry.semver import FIRST, Semver
from oakmill.registry.tables import TRASHED, Model, Trash, Variant, Version
from oakmill.storage.database import now


class Notes(TypedDict, total=False):
    """What a version says about itself."""

    changelog: str
    repository_url: str | None
    commit_hash: str | None
    domain: str | None
    tags: Sequence[str]


def add_version(
    session: Session, caller: Caller, model_id: str, *, name: str, version: str | None = None, **notes: Unpack[Notes]
) -> Version:
    """A new version of the model's variant of that name, which is made where there is none.

    Without `version` it is the next one. The row comes with its `variant`.

    Raises:
        NotFound: The caller does not see the model.
        NoKey: No key was given.
        Forbidden: It is another team's, or the key does not allow it.
        SpecError: The name or the version is not one.
        Conflict: The variant has that version.
    """
    access.changeable(session, caller, Model, model_id)
    model = rows.held_model(session, model_id)
    variant = _variant(session, model, name)
    number = version or next_version(session, variant)
    place = Semver.parse(number)
    row = Version(
        id=new_id("aimv"),
        **below(model),
        variant_id=variant.id,
        variant=variant,
        version=number,
        major=place.major,
        minor=place.minor,
        patch=place.patch,
        **{**notes, "tags": list(notes.get("tags") or [])},
    )
    rows.add(
        session,
        row,
        taken=f"The variant {variant.slug!r} has a version {number} already.",
        remedy="Choose a higher version, or leave it out for the next one.",
    )
    model.updated = variant.updated = now()
    audit.record(session, caller, "version.create", row.id, of_team=model.team_id, name=f"{variant.slug}:{number}")
    return row


def below(model: Model) -> dict[str, str | None]:
    """The columns that a row below the model takes from it."""
    return {
        "model_id": model.id,
        "team_id": model.team_id,
        "owner_key_id": model.owner_key_id,
        "visibility": model.visibility,
    }


def _variant(session: Session, model: Model, name: str) -> Variant:
    slug = slugify(name)
    named = select(Variant).where(Variant.model_id == model.id, Variant.slug == slug, Variant.trash_id.is_(None))
    found = session.scalars(named).first()
    if found is not None:
        return found
    variant = Variant(id=new_id("aimv"), model_id=model.id, name=checked_name(name), slug=slug)
    rows.add(session, variant, taken=f"The variant {slug!r} was made just now.", remedy="Ask again.")
    return variant


def next_version(session: Session, variant: Variant) -> str:
    """The version after the variant's latest; 0.1.0 for the first."""
    mine = Version.variant_id == variant.id
    given = session.scalars(select(Version.version).where(mine, Version.visibility != TRASHED))
    latest = max((Semver.parse(version) for version in given), default=None)
    return latest.after() if latest else FIRST


def version(session: Session, caller: Caller, version_id: str) -> Version:
    """The version with its `variant`.

    Raises:
        NotFound: The caller does not see it.
        NoKey: The caller gave no key, and without one nothing is to be seen here.
    """
    return access.seen(session, caller, Version, version_id, joinedload(Version.variant))


def of_model(session: Session, caller: Caller, model_id: str) -> list[Variant]:
    """The model's variants by name.

    Raises:
        NotFound: The caller does not see the model.
    """
    access.seen(session, caller, Model, model_id)
    there = exists().where(Version.variant_id == Variant.id, Version.visibility != TRASHED)
    mine = select(Variant).where(Variant.model_id == model_id, there)
    return list(session.scalars(mine.order_by(Variant.name, Variant.id)))


def versions_of(session: Session, caller: Caller, model_id: str) -> list[Version]:
    """All versions of the model with their variants, the highest first.

    Raises:
        NotFound: The caller does not see the model.
    """
    access.seen(session, caller, Model, model_id)
    found = session.scalars(
        select(Version)
        .where(Version.model_id == model_id, Version.visibility != TRASHED)
        .options(joinedload(Version.variant))
        .execution_options(populate_existing=True)
    )
    return sorted(found, key=lambda row: (Semver.parse(row.version), row.created), reverse=True)


def update_version(session: Session, caller: Caller, version_id: str, **notes: Unpack[Notes]) -> Version:
    """Change what is given; the version's number stays.

    Raises:
        NotFound: The caller does not see it.
        NoKey: No key was given.
        Forbidden: It is another team's, or the key does not allow it.
    """
    row = access.changeable(session, caller, Version, version_id)
    for key, value in notes.items():
        setattr(row, key, list(notes.get("tags") or []) if key == "tags" else value)
    audit.record(session, caller, "version.update", row.id, of_team=row.team_id, changed=sorted(notes))
    return row


def delete_version(
    session: Session, caller: Caller, version_id: str, *, force: bool = False, keep: bool = False
) -> Trash | None:
    """Delete the version and all below it, and the variant when it was its last; with `keep` into the trash.

    Raises:
        NotFound: The caller does not see it.
        NoKey: No key was given.
        Forbidden: It is another team's, or the key does not allow it.
        Conflict: Something depends on it, and `force` was not given.
    """
    row = access.changeable(session, caller, Version, version_id)
    variant_id, team_id, number = row.variant_id, row.team_id, row.version
    entry = trash.remove(session, caller, row, force=force, keep=keep)
    deletion.delete_bare_variant(session, variant_id)
    audit.record(session, caller, "version.delete", version_id, of_team=team_id, name=number)
    return entry


def delete(
    session: Session, caller: Caller, variant_id: str, *, force: bool = False, keep: bool = False
) -> Trash | None:
    """Delete the variant with its versions and all below them; with `keep` into the trash.

    Raises:
        NotFound: The caller does not see its model, or there is none.
        NoKey: No key was given.
        Forbidden: It is another team's, or the key does not allow it.
        Conflict: Something depends on it, and `force` was not given.
    """
    variant = variant_of(session, caller, variant_id)
    team_id, name = access.changeable(session, caller, Model, variant.model_id).team_id, variant.name
    entry = trash.remove(session, caller, variant, force=force, keep=keep)
    audit.record(session, caller, "variant.delete", variant_id, of_team=team_id, name=name)
    return entry


def variant_of(session: Session, caller: Caller, variant_id: str) -> Variant:
    """The variant of that identifier.

    Raises:
        NotFound: The caller does not see its model, or there is none.
        NoKey: The caller gave no key, and without one nothing is to be seen here.
    """
    seen = select(Variant).join(Model, Model.id == Variant.model_id).where(access.visible(caller, Model))
    found = session.scalars(seen.where(Variant.id == variant_id, Variant.trash_id.is_(None))).first()
    if found is None:
        raise access.unseen(caller, "variant", variant_id)
    return found
