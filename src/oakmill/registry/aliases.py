"""Aliases: names like prod and staging that point to a variant's version, move, and remember who moved them and why."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from oakmill.errors import Conflict, NotFound, SpecError
from oakmill.registry import access, audit, rows, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import ALIAS, LONGEST
from oakmill.registry.tables import Alias, AliasMove, Model, Variant, Version
from oakmill.storage.database import now

RESERVED = frozenset({"latest"})
"""What an address without an alias means already."""

BACK = "back to the one before"


@dataclass(frozen=True)
class Placed:
    """An alias with its variant and version, its last move, and where it pointed before, if that is still there."""

    alias: Alias
    last: AliasMove | None
    before: Version | None


def listed(session: Session, caller: Caller, model_id: str) -> list[Placed]:
    """The model's aliases, by variant and name; who moved them and why is told to its team alone.

    Raises:
        NotFound: The caller does not see the model.
        NoKey: The caller gave no key, and without one nothing is to be seen here.
    """
    model = access.seen(session, caller, Model, model_id)
    found = session.scalars(
        select(Alias)
        .join(Alias.variant)
        .join(Alias.version)
        .where(Variant.model_id == model_id, Version.trash_id.is_(None))
        .options(joinedload(Alias.variant), joinedload(Alias.version))
        .order_by(Variant.name, Variant.id, Alias.name)
        .execution_options(populate_existing=True)
    ).all()
    last = _last_moves(session, [alias.variant_id for alias in found]) if _is_own(caller, model) else {}
    return [_placed(session, alias, last.get((alias.variant_id, alias.name))) for alias in found]


def _is_own(caller: Caller, model: Model) -> bool:
    return caller.everywhere or caller.team_id == model.team_id


def _last_moves(session: Session, variant_ids: list[str]) -> dict[tuple[str, str], AliasMove]:
    newest = select(func.max(AliasMove.id)).where(AliasMove.variant_id.in_(variant_ids))
    newest = newest.group_by(AliasMove.variant_id, AliasMove.name)
    found = session.scalars(select(AliasMove).where(AliasMove.id.in_(newest)))
    return {(move.variant_id, move.name): move for move in found}


def _placed(session: Session, alias: Alias, last: AliasMove | None) -> Placed:
    before = session.get(Version, last.from_id) if last and last.from_id else None
    return Placed(alias, last, before if before and before.trash_id is None else None)


def history(session: Session, caller: Caller, model_id: str, *, limit: int = 100) -> list[AliasMove]:
    """The moves of the model's aliases with their variants, the latest first; none for who is not of its team.

    Raises:
        NotFound: The caller does not see the model.
        NoKey: The caller gave no key, and without one nothing is to be seen here.
    """
    if not _is_own(caller, access.seen(session, caller, Model, model_id)):
        return []
    mine = select(AliasMove).join(AliasMove.variant).where(Variant.model_id == model_id)
    mine = mine.options(joinedload(AliasMove.variant)).execution_options(populate_existing=True)
    return list(session.scalars(mine.order_by(AliasMove.id.desc()).limit(limit)))


def move(
    session: Session, caller: Caller, version_id: str, name: str, *, why: str = "", expected: str | None = None
) -> Alias:
    """Point the alias of the version's variant to the version; it is made where there is none of that name.

    `expected` is the version that it has to point to as yet, by identifier; without it, it may be any.

    Raises:
        NotFound: The caller does not see the version, or it is gone.
        NoKey: No key was given.
        Forbidden: It is another team's, or the key does not allow it.
        SpecError: It is no name of an alias, or the reason is too long.
        Conflict: It points elsewhere than expected.
    """
    check(name, why)
    version = access.changeable(session, caller, Version, version_id)
    model = rows.held_model(session, version.model_id, alone=True)
    version = access.changeable(session, caller, Version, version_id)  # as of now: it may have gone meanwhile
    alias = session.get(Alias, (version.variant_id, name), populate_existing=True)
    _require_expected(session, alias, name, expected)
    if alias is None:
        alias = Alias(variant_id=version.variant_id, name=name)
        session.add(alias)
    elif alias.version_id == version.id:
        return alias
    old, alias.version_id, alias.moved = alias.version_id, version.id, now()
    _note(session, caller, model, version.variant_id, name, old, version, why)
    return alias


def back(
    session: Session, caller: Caller, variant_id: str, name: str, *, why: str = "", expected: str | None = None
) -> Alias:
    """Point the alias to where it pointed before its last move.

    Raises:
        NotFound: There is no such alias that the caller sees, or what it pointed to before is gone.
        NoKey, Forbidden, Conflict: as `move`.
    """
    _held(session, caller, variant_id)
    found = _last_moves(session, [variant_id]).get((variant_id, name))
    if found is None or found.from_id is None:
        raise NotFound(f"The alias {name!r} pointed to nothing before.", subject=name, remedy="Point it to a version.")
    return move(session, caller, found.from_id, name, why=why.strip() or BACK, expected=expected)


def remove(session: Session, caller: Caller, variant_id: str, name: str, *, why: str = "") -> None:
    """Take the alias away; its history stays.

    Raises:
        NotFound: There is no such alias that the caller sees.
        NoKey, Forbidden, SpecError: as `move`.
    """
    check(name, why)
    model = _held(session, caller, variant_id)
    alias = session.get(Alias, (variant_id, name), populate_existing=True)
    if alias is None:
        raise NotFound(f"The variant has no alias {name!r}.", subject=name, remedy="List the model's aliases.")
    _note(session, caller, model, variant_id, name, alias.version_id, None, why)
    session.delete(alias)
    session.flush()


def model_of(session: Session, caller: Caller, variant_id: str) -> Model:
    """The model of a variant whose aliases the caller may change.

    Raises:
        NotFound: There is no such variant that the caller sees.
        NoKey, Forbidden: as `move`.
    """
    return access.changeable(session, caller, Model, variants.variant_of(session, caller, variant_id).model_id)


def _held(session: Session, caller: Caller, variant_id: str) -> Model:
    return rows.held_model(session, model_of(session, caller, variant_id).id, alone=True)


def check(name: str, why: str = "") -> None:
    """Go on only where it is a name of an alias, and the reason is not too long.

    Raises:
        SpecError: it is not.
    """
    if not re.fullmatch(ALIAS, name) or name in RESERVED:
        raise SpecError(
            f"{name[:80]!r} is no name of an alias.",
            subject=name[:80],
            remedy="Use up to 32 small letters, digits, - and _, a letter first; not latest.",
        )
    if len(why) > LONGEST:
        raise SpecError(f"The reason has {len(why)} characters; it takes {LONGEST}.", subject="why")


def _require_expected(session: Session, alias: Alias | None, name: str, expected: str | None) -> None:
    if expected is None or (alias is not None and alias.version_id == expected):
        return
    there = session.get(Version, alias.version_id) if alias else None
    raise Conflict(
        f"The alias {name!r} points to {there.version if there else 'nothing'} by now.",
        subject=name,
        remedy="Look at it again; somebody else has moved it.",
    )


def _note(
    session: Session,
    caller: Caller,
    model: Model,
    variant_id: str,
    name: str,
    old_id: str | None,
    new: Version | None,
    why: str,
) -> None:
    """Write the move into the alias's history and the audit log."""
    old = session.get(Version, old_id) if old_id else None
    said = {
        "from_version": old.version if old and old.trash_id is None else None,
        "to_version": new.version if new else None,
        "why": why.strip(),
    }
    ends = {"from_id": old_id, "to_id": new.id if new else None}
    who = {"key_id": caller.key_id, "who": caller.user_name or caller.key_name}
    session.add(AliasMove(variant_id=variant_id, name=name, **who, **ends, **said))
    session.flush()
    deed = "alias.move" if new else "alias.remove"
    audit.record(session, caller, deed, variant_id, of_team=model.team_id, name=name, **said)
