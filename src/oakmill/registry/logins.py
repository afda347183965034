"""Logins of the command line: a short code that it shows, and that a person who is signed in approves (RFC 8628)."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from oakmill.errors import LoginExpired, LoginPending, LoginRefused, NoKey, NotFound, TooManyTries
from oakmill.registry import audit, keys
from oakmill.registry.callers import SCOPES, Caller, Scope, rank
from oakmill.registry.identifiers import LONGEST
from oakmill.registry.states import KeyOrigin, LoginState
from oakmill.registry.tables import Key, Login
from oakmill.storage.database import now

SECONDS = 600
INTERVAL = 2
"""Seconds between two questions of the command line, at least."""
MOST = 20
"""Logins that wait for approval from one address."""
KEY_DAYS = 90
"""For which a key lasts that was approved with one that has no end."""
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Make no words, and are not taken for digits."""


@dataclass(frozen=True)
class Begun:
    """A login that waits: the code that the person types, and the one by which the command line asks."""

    user_code: str
    device_code: str


def begin(session: Session, *, client: str, address: str) -> Begun:
    """A new login of a command line, which calls itself `client`.

    Raises:
        TooManyTries: too many from that address wait.
    """
    session.execute(delete(Login).where(Login.until < now() - timedelta(days=1)))
    waiting = select(func.count()).where(
        Login.address == address, Login.until > now(), Login.state == LoginState.WAITING
    )
    if (session.scalar(waiting) or 0) >= MOST:
        raise TooManyTries(
            f"{MOST} logins from {address} wait to be approved.", remedy=f"Try again in {SECONDS} seconds."
        )
    short = "".join(secrets.choice(_LETTERS) for _ in range(8))
    begun = Begun(f"{short[:4]}-{short[4:]}", secrets.token_urlsafe(32))
    until = now() + timedelta(seconds=SECONDS)
    named = "".join(letter for letter in client if letter.isprintable()).strip()[:LONGEST] or "oakmill"
    session.add(
        Login(id=_hash(begun.device_code), user_code=begun.user_code, client=named, address=address[:64], until=until)
    )
    return begun


def waiting(session: Session, user_code: str) -> Login:
    """The login of that code, however it is typed.

    Raises:
        NotFound: none waits that has it.
    """
    typed = "".join(letter for letter in user_code.upper() if letter in _LETTERS)
    code = f"{typed[:4]}-{typed[4:]}"
    query = select(Login).where(Login.user_code == code, Login.until > now(), Login.state == LoginState.WAITING)
    found = session.scalars(query.with_for_update()).first()
    if found is None:
        raise NotFound(
            f"No login waits with the code {user_code[:20]!r}.",
            subject=user_code[:20],
            remedy=f"Type the code that oakmill login shows; it works for {SECONDS // 60} minutes, once.",
        )
    return found


def may_give(caller: Caller) -> tuple[Scope, ...]:
    """The scopes that a caller can give a login: their own, and weaker ones."""
    return tuple(scope for scope in SCOPES if caller.may(scope))


def approve(session: Session, caller: Caller, user_code: str, scope: str) -> Login:
    """Let a login have a key of the caller's: for the same team or model, and with that scope.

    Raises:
        NotFound: no login waits with that code.
        NoKey, Forbidden: the caller's key does not allow that scope.
    """
    found = waiting(session, user_code)
    caller.require(SCOPES[rank(scope)])
    found.state, found.key_id, found.scope = LoginState.APPROVED, caller.key_id, scope
    audit.record(session, caller, "login.approve", found.client, scope=scope, address=found.address)
    return found


def refuse(session: Session, caller: Caller, user_code: str) -> Login:
    """Let a login have nothing.

    Raises:
        NotFound: no login waits with that code.
    """
    found = waiting(session, user_code)
    found.state = LoginState.REFUSED
    audit.record(session, caller, "login.refuse", found.client, address=found.address)
    return found


def redeem(session: Session, device_code: str) -> tuple[Key, str]:
    """The key of a login that was approved, and the key itself, which is told this once.

    Raises:
        LoginPending: it waits; LoginTooFast, where it is asked for too often.
        LoginRefused: somebody refused it, or may not approve it any more.
        LoginExpired: nobody approved it in time, its key was told, or there never was one.
    """
    found = session.scalars(select(Login).where(Login.id == _hash(device_code)).with_for_update()).first()
    if found is None or found.until <= now() or found.state == LoginState.DONE:
        raise LoginExpired(remedy="Begin again: oakmill login")
    if found.state == LoginState.REFUSED:
        raise LoginRefused(remedy="Begin again: oakmill login, and approve the code that it shows.")
    if found.state == LoginState.WAITING:
        raise LoginPending(remedy=f"Approve {found.user_code} on the hub's page /device.")
    found.state = LoginState.DONE
    return _key(session, found)


def is_too_fast(session: Session, device_code: str) -> bool:
    """Whether a login is asked after too often; notes that it was asked now."""
    found = session.get(Login, _hash(device_code))
    if found is None:
        return False
    before, found.asked = found.asked, now()
    return before is not None and found.asked - before < timedelta(seconds=INTERVAL / 2)


def _key(session: Session, found: Login) -> tuple[Key, str]:
    """A key of who approved it, as they are now; it ends when a user's other keys do, and some time in any case."""
    try:
        by = keys.holder(session, str(found.key_id), address=found.address)
    except NoKey:
        raise LoginRefused(
            "Who approved this login has no key any more.", remedy="Begin again: oakmill login"
        ) from None
    scope = min(str(found.scope), max(by.scopes, key=rank), key=rank)
    last = session.get_one(Key, by.key_id).expires
    longest = now() + timedelta(days=KEY_DAYS)
    return keys.issue(
        session,
        by,
        str(by.team_id),
        name=found.client,
        scopes=[scope],
        model_id=by.model_id,
        expires=min(last or longest, longest),
        user_id=by.user_id,
        origin=KeyOrigin.LOGIN,
    )


def _hash(device_code: str) -> str:
    return hashlib.sha256(device_code.encode("utf-8", "surrogatepass")).hexdigest()
