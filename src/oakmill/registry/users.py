"""Who signs in at a provider: known by what it calls them, let in by their groups, shut out with all their keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from oakmill.errors import NotFound
from oakmill.registry import audit, keys, teams
from oakmill.registry.callers import Caller, rank
from oakmill.registry.identifiers import LONGEST, new_id
from oakmill.registry.tables import AuditEntry, Key, KeyOrigin, Team, User
from oakmill.storage.database import now


@dataclass(frozen=True)
class Person:
    """Somebody as the provider tells of them. `subject` is theirs for good; `email` is what they are shown as."""

    issuer: str
    subject: str
    email: str
    name: str = ""


@dataclass(frozen=True)
class Grant:
    """What somebody's groups give them: a team, by its slug, and the strongest scope in it."""

    team: str
    scope: str


def come_in(
    session: Session, person: Person, grant: Grant | None, *, until: datetime, address: str = ""
) -> tuple[User, Key | None]:
    """The user, and the key that their web sessions act with, in force until then; their other keys are so, too.

    None for the key: they are disabled, or no group of theirs leads to a team; then none of their keys is in force.

    Raises:
        NotFound: there is no team of the grant's name.
    """
    user = _known(session, person)
    user.email, user.name, user.seen = person.email[:LONGEST], person.name[:LONGEST], now()
    if user.disabled is not None:  # they stay in the list of their team, whose admins may let them in again
        return user, None
    team = teams.named(session, grant.team) if grant else None
    if user.team_id is not None and user.team_id != (team.id if team else None):
        _end_keys(session, user, _themselves(user, address), "user.leave")
    user.team_id = team.id if team else None
    if team is None or grant is None:
        return user, None
    return user, _key(session, user, team, grant.scope, until, address)


def _known(session: Session, person: Person) -> User:
    """The row of that person, held until the transaction ends; a new one where there is none."""
    query = select(User).where(User.issuer == person.issuer, User.subject == person.subject).with_for_update()
    found = session.scalars(query).first()
    if found is not None:
        return found
    made = User(id=new_id("aip"), issuer=person.issuer, subject=person.subject, email=person.email[:LONGEST])
    try:
        with session.begin_nested():
            session.add(made)
    except IntegrityError:  # they signed in twice at the same time
        return session.scalars(query).one()
    return made


def _key(session: Session, user: User, team: Team, scope: str, until: datetime, address: str) -> Key:
    """The user's key for web sessions; that and their others say from now on what the groups do, and no more."""
    own = _live(session, user)
    for key in own:
        key.expires = until
        key.scopes = scope if key.origin == KeyOrigin.SIGN_IN else _narrowed(key.scopes, scope)
    found = next((key for key in own if key.origin == KeyOrigin.SIGN_IN), None)
    if found is None:
        by = _themselves(user, address, team)
        more: keys.More = {"name": user.email, "expires": until, "user_id": user.id, "origin": KeyOrigin.SIGN_IN}
        found, _ = keys.issue(session, by, team.id, scopes=[scope], **more)
    found.name = user.email
    return found


def _narrowed(scopes: str, most: str) -> str:
    return ",".join(sorted({min(scope, most, key=rank) for scope in scopes.split(",")}))


def _live(session: Session, user: User) -> list[Key]:
    """The user's keys that nobody revoked."""
    return list(session.scalars(select(Key).where(Key.user_id == user.id, Key.revoked.is_(None))))


def _end_keys(session: Session, user: User, by: Caller, action: str) -> None:
    """End the force of all keys of the user's own, and so their sessions. What they made stays the team's."""
    ended = _live(session, user)
    for key in ended:
        key.revoked = now()
    audit.record(session, by, action, user.id, of_team=user.team_id, name=user.email, keys=len(ended))


def _themselves(user: User, address: str, team: Team | None = None) -> Caller:
    """The user, for the audit log: they act before they have a key."""
    return Caller(
        key_id=None, key_name=user.email, team_id=team.id if team else user.team_id,
        team_slug=team.slug if team else "", scopes=frozenset(), address=address, user_id=user.id,
        user_name=user.email,
    )  # fmt: skip


def listed(session: Session, caller: Caller) -> list[User]:
    """The team's users by e-mail, for its admins; the operator sees those of all teams, and who has none.

    Raises:
        NoKey: No key was given.
        Forbidden: The caller's key is not an admin's, or is for one model only.
    """
    keys.require_admin(caller, caller.team_id)
    query = select(User).order_by(User.email, User.id)
    return list(session.scalars(query if caller.team_id is None else query.where(User.team_id == caller.team_id)))


def disable(session: Session, caller: Caller, user_id: str) -> User:
    """Shut a user out, at once: their sessions and keys are over, and they cannot sign in. Their models stay.

    Raises:
        Forbidden: The caller's key is not an admin's.
        NotFound: There is no such user in the caller's team.
    """
    user = _ruled(session, caller, user_id)
    if user.disabled is None:
        user.disabled = now()
        _end_keys(session, user, caller, "user.disable")
    return user


def enable(session: Session, caller: Caller, user_id: str) -> User:
    """Let a user sign in again; they get new keys.

    Raises:
        Forbidden: The caller's key is not an admin's.
        NotFound: There is no such user in the caller's team.
    """
    user = _ruled(session, caller, user_id)
    if user.disabled is not None:
        user.disabled = None
        audit.record(session, caller, "user.enable", user.id, of_team=user.team_id, name=user.email)
    return user


def _ruled(session: Session, caller: Caller, user_id: str) -> User:
    """The user of that identifier, or of that e-mail where only one has it."""
    there = listed(session, caller)  # what they are called is their own choice, so the identifier goes before it
    found = [user for user in there if user.id == user_id] or [user for user in there if user.email == user_id]
    if len(found) != 1:
        many = f"{len(found)} users are called {user_id!r}." if found else f"There is no user {user_id!r} here."
        raise NotFound(many, subject=user_id, remedy="Give the identifier that `oakmill users list` shows.")
    return found[0]


def keys_made(session: Session, user: User) -> list[Key]:
    """The team's keys in force that the user made: they know them, so somebody should look at these when they leave."""
    theirs = select(Key.id).where(Key.user_id == user.id)
    made = select(AuditEntry.subject).where(AuditEntry.action == "key.create", AuditEntry.key_id.in_(theirs))
    found = session.scalars(select(Key).where(Key.id.in_(made), Key.user_id.is_(None)).order_by(Key.created))
    return [key for key in found if keys.is_live(key)]
