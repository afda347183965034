"""Who sees what, and who may change it: one rule for models and all that stands below them.

Private is for who made the model (a key, or a user with all their keys) and the team's admins, and so is quick; team
for every key of the team, public for every key of the hub. A key for one model sees that model alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, false, func, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import ExecutableOption

from oakmill.errors import Forbidden, NoKey, NotFound
from oakmill.registry.callers import Caller, Scope
from oakmill.registry.tables import Instance, Model, Version, Visibility

Row = TypeVar("Row", Model, Version, Instance)
Kind = type[Model] | type[Version] | type[Instance]
WORDS: dict[type, str] = {Model: "model", Version: "version", Instance: "instance"}


def model_id_of(kind: Kind) -> ColumnElement[str]:
    """The column that says to which model a row belongs."""
    return kind.id.expression if issubclass(kind, Model) else kind.model_id.expression


def parts(
    caller: Caller,
    kind: Kind,
    *,
    among: Iterable[Visibility] = Visibility,
    team_id: str | None = None,
    indexed: bool = True,
) -> list[ColumnElement[bool]]:
    """What the caller sees, as conditions that exclude each other and each walk one index in a list's order.

    `among` and `team_id` narrow them further. Where another condition leaves few rows, `indexed=False` keeps SQLite
    from walking a whole list in its order to find them.
    """
    columns: list[ColumnElement[str]] = [kind.team_id.expression, kind.visibility.expression]
    team, visibility = columns if indexed else [func.coalesce(column, "") for column in columns]
    narrower = [team == team_id] if team_id is not None else []
    if caller.model_id is not None:
        narrower.append(model_id_of(kind) == caller.model_id)
    found = ((level, _narrowed(caller, kind, level, team)) for level in among)
    return [and_(visibility == level, *further, *narrower) for level, further in found if further is not None]


def _narrowed(
    caller: Caller, kind: Kind, level: Visibility, team: ColumnElement[str]
) -> list[ColumnElement[bool]] | None:
    """What the caller sees of one visibility, as further conditions; None is nothing."""
    if caller.everywhere and caller.team_id is None:
        return []
    if level is Visibility.PUBLIC:
        return [] if caller.sees_public else None
    if caller.team_id is None or not caller.may("read"):
        return None
    own = level in (Visibility.PRIVATE, Visibility.QUICK)
    theirs = [kind.owner_key_id == caller.owner_id] if own and not caller.may("admin") else []
    return [team == caller.team_id, *theirs]


def visible(caller: Caller, kind: Kind = Model) -> ColumnElement[bool]:
    """The rows that the caller sees, as one condition."""
    return or_(false(), *parts(caller, kind, indexed=False))


def seen(session: Session, caller: Caller, kind: type[Row], row_id: str, *options: ExecutableOption) -> Row:
    """The row of that identifier; read anew where `options` say what is to be read with it.

    Raises:
        NoKey: The caller gave no key, and without one nothing is to be seen here.
        NotFound: There is none, or the caller does not see it; which of the two is not told.
    """
    query = select(kind).where(kind.id == row_id, visible(caller, kind)).options(*options)
    row = session.scalars(query.execution_options(populate_existing=bool(options))).first()
    if row is None:
        raise unseen(caller, WORDS[kind], row_id)
    return row


def unseen(caller: Caller, what: str, name: str) -> NoKey | NotFound:
    """The error for what is not there, or is not to be seen by the caller; both look the same."""
    if not caller.is_known and not caller.sees_public:
        return NoKey(remedy="Send a key: Authorization: Bearer oak_...")
    return NotFound(
        f"There is no {what} {name!r} that this key may see.",
        subject=name,
        remedy=f"List what there is, or use a key that may see the {what}.",
    )


def changeable(session: Session, caller: Caller, kind: type[Row], row_id: str, scope: Scope = "convert") -> Row:
    """The row of that identifier, for a change.

    Raises:
        NotFound: The caller does not see it.
        NoKey: The caller sees it, but gave no key.
        Forbidden: The caller sees it, but it is another team's, or the key does not allow changes.
    """
    row = seen(session, caller, kind, row_id)
    caller.require(scope)
    require_own(caller, row.team_id, WORDS[kind], row_id)
    return row


def require_own(caller: Caller, team_id: str, what: str, name: str) -> None:
    """Go on only when it belongs to the caller's team.

    Raises:
        Forbidden: It is another team's.
    """
    if not caller.everywhere and caller.team_id != team_id:
        raise Forbidden(
            f"The {what} {name!r} belongs to another team.", subject=name, remedy="Use a key of the team that owns it."
        )
