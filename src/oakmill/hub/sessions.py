"""A browser's session: a cookie that is signed, expires, and holds the identifiers of the session and its key only.

It lasts for 30 days from its last use. A browser gets one for a key that is pasted, by a link that signs in once, or
by signing in at a provider (`sign_in.py`).
"""

from __future__ import annotations

import secrets
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from oakmill.errors import NoKey, NotFound
from oakmill.hub import links
from oakmill.registry import audit, keys
from oakmill.registry.callers import Caller
from oakmill.registry.tables import EndedSession
from oakmill.settings import Settings
from oakmill.storage.database import now
from oakmill.storage.manifest import SECRET

if TYPE_CHECKING:  # `oakmill serve` makes a link, and does not answer itself
    from fastapi import Request, Response

    from oakmill.hub.state import Hub

COOKIE = "oakmill_session"
DAYS = 30
SECONDS = DAYS * 24 * 3600
RENEWED_EVERY = 24 * 3600
LINK_SECONDS = 600
_PURPOSE, _LINK = "session", "sign-in"


def begin(at: Hub, request: Request, response: Response, found: Caller) -> None:
    """Let the browser come back as this caller, until it signs out, the session expires or the key is revoked."""
    _give(at, request, response, found.key_id, secrets.token_hex(16))
    with at.db.session() as session:
        audit.record(session, found, "session.begin", found.key_name)


def renew(at: Hub, request: Request, response: Response, found: Caller) -> None:
    """Let the session of who has been let in last from now on, where a day of it is gone."""
    if found.session_id is None or COOKIE not in request.cookies:
        return
    until = float(links.read(at.secret, _PURPOSE, request.cookies[COOKIE])["until"])
    if until - time.time() < SECONDS - RENEWED_EVERY:
        _give(at, request, response, found.key_id, found.session_id)


def _give(at: Hub, request: Request, response: Response, key_id: str | None, session_id: str) -> None:
    token = links.sign(at.secret, _PURPOSE, {"key": key_id, "id": session_id}, seconds=SECONDS)
    secure = is_secure(at, request)
    response.set_cookie(COOKIE, token, max_age=SECONDS, httponly=True, samesite="strict", secure=secure)


def is_secure(at: Hub, request: Request) -> bool:
    """Whether the browser is to send a cookie over https alone."""
    return request.url.scheme == "https" or (at.settings.public_url or "").startswith("https://")


def link(settings: Settings, address: str, key_id: str) -> str:
    """A link to this machine's hub at an address that signs a browser in with a key, once, within LINK_SECONDS.

    What signs in stands behind #, which browsers send to nobody, and which no proxy logs.
    """
    secret = links.read_secret(settings.hub / SECRET)
    token = links.sign(secret, _LINK, {"key": key_id, "id": secrets.token_hex(16)}, seconds=LINK_SECONDS)
    return f"{address.rstrip('/')}/session#{token}"


def redeem(at: Hub, token: str, address: str) -> Caller:
    """Who a link signs in; it does not do so again.

    Raises:
        NoKey: it is none of ours, was used, is too old, or its key is not in force any more.
    """
    try:
        said = links.read(at.secret, _LINK, token)
        with at.db.session() as session:
            session.add(EndedSession(id=said["id"], until=now() + timedelta(seconds=LINK_SECONDS)))
            session.flush()
            return holder(session, said["key"], None, address)
    except (NotFound, IntegrityError):
        raise NoKey(
            "This link signs in once, within ten minutes; it was used, or is too old.",
            remedy="Make another on the hub's machine: oakmill keys sign-in. Or paste a key.",
        ) from None


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
