"""API keys: made once and shown once, known by their hash, scoped, expiring, revocable."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Required, TypedDict, Unpack

from sqlalchemy import ColumnElement, Row, delete, or_, select, update
from sqlalchemy.orm import Session

from oakmill.errors import Forbidden, NoKey, NotFound, SpecError
from oakmill.registry import audit, teams
from oakmill.registry.access import unseen
from oakmill.registry.callers import ANONYMOUS, LOCAL, SCOPES, Caller
from oakmill.registry.identifiers import checked_name, letters, new_id
from oakmill.registry.tables import Key, KeyOrigin, Model, Team, User
from oakmill.storage.database import now

PREFIX = "oak_"
TOUCHED_EVERY = timedelta(minutes=1)
SPENT_AFTER = timedelta(days=30)
_NOBODYS = "0" * 64


class More(TypedDict, total=False):
    """What else a key may say: its name, how long it lasts, what it is for, whose it is and how it came."""

    name: Required[str]
    expires: datetime | None
    model_id: str | None
    user_id: str | None
    origin: str


def create(
    session: Session,
    team: Team,
    *,
    name: str,
    scopes: Iterable[str],
    model_id: str | None = None,
    expires: datetime | None = None,
    by: Caller = LOCAL,
) -> tuple[Key, str]:
    """A new key of the team, and the key itself, which is told this once.

    Raises:
        SpecError: The name or a scope is not one, or the key would have expired already.
        Forbidden: `by` is not the team's admin, or has a key that ends before.
        NotFound: The model is not the team's.
    """
    require_admin(by, team.id)
    by.require_lasting("a new key", expires)
    model_id = _of_team(session, team, model_id)
    return issue(session, by, team.id, name=checked_name(name), scopes=scopes, model_id=model_id, expires=expires)


def issue(
    session: Session, by: Caller, team_id: str, *, scopes: Iterable[str], **more: Unpack[More]
) -> tuple[Key, str]:
    """A new key, and the key itself, for who has shown that it is theirs to have; `create` asks for an admin first.

    Raises:
        SpecError: A scope is not one, or the key would have expired already.
    """
    raw = PREFIX + letters(40)
    _future(more.get("expires"))
    key = Key(
        id=new_id("aik"),
        team_id=team_id,
        prefix=raw[:10],
        sha256=_hash(raw),
        scopes=",".join(_checked(scopes)),
        **more,
    )
    session.add(key)
    session.flush()
    audit.record(session, by, "key.create", key.id, of_team=team_id, name=key.name, scopes=key.scopes)
    return key, raw


def first(session: Session, *, team_name: str = "Default") -> str | None:
    """The first admin key of a hub that has none yet, with its first team; None where there is a key."""
    if session.scalar(select(Key.id).limit(1)) is not None:
        return None
    team = next(iter(teams.listed(session)), None) or teams.create(session, name=team_name)
    return create(session, team, name="first admin", scopes=["admin"])[1]


def oldest_admin(session: Session) -> Key | None:
    """The oldest admin key in force that is for no one model; None where there is none."""
    found = select(Key).where(Key.model_id.is_(None), Key.revoked.is_(None)).order_by(Key.created, Key.id)
    return next((key for key in session.scalars(found) if "admin" in key.scopes.split(",") and is_live(key)), None)


def authenticate(session: Session, raw: str, *, address: str = "") -> Caller:
    """Who holds the key. Only reads; where `is_due(caller)`, call `touch` in a session that writes.

    Raises:
        NoKey: The key is not known, has expired or was revoked; which of them is not told.
    """
    digest = _hash(raw)
    row = _found(session, Key.sha256 == digest)
    # Compared whole and once more where there is none, so that time tells nothing.
    matches = hmac.compare_digest(row.Key.sha256 if row else _NOBODYS, digest)
    return _caller(row if matches else None, address)


def holder(session: Session, key_id: str, *, address: str = "", session_id: str | None = None) -> Caller:
    """Who holds the key of that identifier, which somebody showed earlier, as of now.

    Raises:
        NoKey: The key has expired or was revoked.
    """
    return _caller(_found(session, Key.id == key_id), address, session_id)


def refused(session: Session, raw: str, address: str) -> None:
    """Note that a key was refused; where it is known, it is its team's business."""
    key = session.scalars(select(Key).where(Key.sha256 == _hash(raw))).first()
    team_id = key.team_id if key else None
    whose = replace(ANONYMOUS, address=address, key_id=key.id if key else None, key_name=key.name if key else "")
    begins = raw[: len(PREFIX) + 6].encode("ascii", "replace").decode().replace("\0", "?")  # anybody may write anything
    audit.record(session, whose, "key.refused", begins, of_team=team_id)


def _found(session: Session, which: ColumnElement[bool]) -> Row[Key, str, User] | None:
    """A key with its team's slug, and with its user where it has one."""
    query = select(Key, Team.slug, User).join(Team, Team.id == Key.team_id).outerjoin(User, User.id == Key.user_id)
    return session.execute(query.where(which)).first()


def _caller(row: Row[Key, str, User] | None, address: str, session_id: str | None = None) -> Caller:
    if row is None or not is_live(row.Key) or (row.User and row.User.disabled):
        raise NoKey(remedy="Use a key that is in force; `oakmill keys create` makes one.")
    key: Key = row.Key
    return Caller(
        key_id=key.id,
        key_name=key.name,
        team_id=key.team_id,
        team_slug=row.slug,
        scopes=frozenset(key.scopes.split(",")),
        model_id=key.model_id,
        address=address,
        last_used=key.last_used,
        session_id=session_id,
        user_id=key.user_id,
        user_name=row.User.email if row.User else "",
        requests_per_minute=key.requests_per_minute,
        ends=key.expires if key.user_id is None else None,
    )


def is_live(key: Key) -> bool:
    """Whether the key is in force."""
    return key.revoked is None and (key.expires is None or key.expires > now())


def is_due(caller: Caller) -> bool:
    """Whether the key's last use is to be noted: once a minute is enough."""
    return caller.key_id is not None and (caller.last_used is None or caller.last_used < now() - TOUCHED_EVERY)


def touch(session: Session, caller: Caller) -> None:
    """Note that the key was used; at most once a minute, however many ask."""
    stale = or_(Key.last_used.is_(None), Key.last_used < now() - TOUCHED_EVERY)
    session.execute(update(Key).where(Key.id == caller.key_id, stale).values(last_used=now()))


def revoke(session: Session, caller: Caller, key_id: str) -> Key:
    """End the key's force, at once and for good.

    Raises:
        NoKey: No key was given.
        Forbidden: The caller's key is not an admin's, or is for one model only.
        NotFound: The team has no such key.
    """
    require_admin(caller, caller.team_id)
    key = session.get(Key, key_id)
    if key is None or (caller.team_id is not None and key.team_id != caller.team_id):
        raise unseen(caller, "key", key_id)
    if key.revoked is None:
        key.revoked = now()
        audit.record(session, caller, "key.revoke", key.id, of_team=key.team_id, name=key.name)
    return key


def own(session: Session, caller: Caller) -> list[Key]:
    """The keys in force that are the caller's own, the latest first; none for who is no user."""
    if caller.user_id is None:
        return []
    query = select(Key).where(Key.user_id == caller.user_id).order_by(Key.created.desc(), Key.id)
    return [key for key in session.scalars(query) if is_live(key)]


def end_own(session: Session, caller: Caller, key_id: str) -> None:
    """End the force of a key of the caller's own.

    Raises:
        NotFound: They have no such key.
    """
    key = next((key for key in own(session, caller) if key.id == key_id), None)
    if key is None:
        raise unseen(caller, "key", key_id)
    key.revoked = now()
    audit.record(session, caller, "key.revoke", key.id, of_team=key.team_id, name=key.name)


def give_back(session: Session, raw: str, *, address: str = "") -> bool:
    """End a key, for who holds it: one that came by itself. Whether it was one; an admin's own goes on."""
    try:
        by = authenticate(session, raw, address=address)
    except NoKey:
        return False
    key = session.get_one(Key, by.key_id)
    if key.origin not in (KeyOrigin.LOGIN, KeyOrigin.EXCHANGE):
        return False
    key.revoked = now()
    audit.record(session, by, "key.revoke", key.id, of_team=key.team_id, name=key.name)
    return True


def forget_spent(session: Session) -> None:
    """Remove the keys that CI jobs had, a month after they were over; until then jobs are told by their names."""
    spent = (Key.origin == KeyOrigin.EXCHANGE) & (Key.expires <= now() - SPENT_AFTER)
    session.execute(delete(Key).where(spent))


def bound(
    session: Session, caller: Caller, key_id: str, *, requests_per_minute: int | None, most_running: int | None
) -> Key:
    """Set what a key may use; 0 is as the hub and the team have it, None leaves what it is. For the operator only.

    Raises:
        NotFound: There is no such key.
    """
    key = session.get(Key, key_id)
    if key is None:
        raise unseen(caller, "key", key_id)
    if requests_per_minute is not None:
        key.requests_per_minute = requests_per_minute or None
    if most_running is not None:
        key.most_running = most_running or None
    limits = {"requests_per_minute": key.requests_per_minute, "most_running": key.most_running}
    audit.record(session, caller, "key.bound", key.id, of_team=key.team_id, name=key.name, **limits)
    return key


def listed(session: Session, caller: Caller) -> list[Key]:
    """The team's keys, the latest first; the operator sees those of all teams.

    Raises:
        NoKey: No key was given.
        Forbidden: The caller's key is not an admin's, or is for one model only.
    """
    require_admin(caller, caller.team_id)
    spent = (Key.origin == KeyOrigin.EXCHANGE) & (Key.expires <= now())  # each CI job has had one
    query = select(Key).where(~spent).order_by(Key.created.desc(), Key.id)
    return list(session.scalars(query if caller.team_id is None else query.where(Key.team_id == caller.team_id)))


def require_admin(caller: Caller, team_id: str | None) -> None:
    """Go on only for an admin of the whole team, or the operator.

    Raises:
        NoKey: No key was given.
        Forbidden: The caller's key is not an admin's, is for one model only, or is another team's.
    """
    caller.require("admin")
    caller.require_whole_team()
    if not caller.everywhere and caller.team_id != team_id:
        raise Forbidden("The keys are another team's.", remedy="Use an admin key of that team.")


def _of_team(session: Session, team: Team, model_id: str | None) -> str | None:
    if model_id is not None:
        model = session.get(Model, model_id)
        if model is None or model.team_id != team.id:
            raise NotFound(f"The team has no model {model_id!r}.", subject=model_id, remedy="Name one of the team's.")
    return model_id


def _checked(scopes: Iterable[str]) -> list[str]:
    given = set(scopes)
    if not given or given - set(SCOPES):
        wrong = ", ".join(sorted(given - set(SCOPES))) or "none"
        raise SpecError(f"A key's scopes cannot be: {wrong}.", remedy=f"Choose among {', '.join(SCOPES)}.")
    return sorted(given)


def _future(expires: datetime | None) -> datetime | None:
    if expires is not None and expires <= now():
        raise SpecError(f"The key would have expired on {expires:%Y-%m-%d %H:%M}.", remedy="Give a time to come.")
    return expires


def _hash(raw: str) -> str:
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()
