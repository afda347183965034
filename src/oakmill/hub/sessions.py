"""A browser's session: a cookie that is signed, expires, and holds the identifiers of the session and its key only."""

from __future__ import annotations

import secrets
from datetime import timedelta

from fastapi import Response
from sqlalchemy.orm import Session

from oakmill.errors import NoKey, NotFound
from oakmill.hub import links
from oakmill.hub.state import Hub
from oakmill.registry import audit, keys
from oakmill.registry.callers import Caller
from oakmill.registry.tables import EndedSession
from oakmill.storage.database import now

COOKIE = "oakmill_session"
SECONDS = 12 * 3600
_PURPOSE = "session"


def begin(at: Hub, response: Response, found: Caller, *, secure: bool) -> None:
    """Let the browser come back as this caller, until it signs out, the session expires or the key is revoked."""
    claims = {"key": found.key_id, "id": secrets.token_hex(16)}
    token = links.sign(at.secret, _PURPOSE, claims, seconds=SECONDS)
    response.set_cookie(COOKIE, token, max_age=SECONDS, httponly=True, samesite="strict", secure=secure)
    with at.db.session() as session:
        audit.record(session, found, "session.begin", found.key_name)


def end(session: Session, found: Caller) -> None:
    """End the session that the caller is in: whoever has kept its cookie has nothing."""
    if found.session_id is not None and session.get(EndedSession, found.session_id) is None:
        session.add(EndedSession(id=found.session_id, until=now() + timedelta(seconds=SECONDS)))
        audit.record(session, found, "session.end", found.key_name)


def forget(response: Response) -> None:
    """Let the browser forget who it came as."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def claims(at: Hub, token: str) -> tuple[str, str]:
    """The identifiers of the key and of the session that a cookie holds.

    Raises:
        NoKey: it is none of ours, or has expired.
    """
    try:
        said = links.read(at.secret, _PURPOSE, token)
        return str(said["key"]), str(said["id"])
    except (NotFound, KeyError):  # those of before had no session's identifier
        raise _over() from None


def holder(session: Session, key_id: str, session_id: str | None = None, address: str = "") -> Caller:
    """Who holds a key, in a session if there is one, as of now: also long after they were let in.

    Raises:
        NoKey: the key has expired or was revoked, or the session was signed out of.
    """
    try:
        found = keys.holder(session, key_id, address=address, session_id=session_id)
    except NoKey:
        raise _over() from None
    if session_id is not None and session.get(EndedSession, session_id) is not None:
        raise _over()
    return found


def _over() -> NoKey:
    return NoKey("The session is over.", remedy="Sign in again.")
