"""Who asks, and with which session: the dependencies that every route of the hub begins with.

A key comes as `Authorization: Bearer oak_...`, or by the cookie of a web session (`sessions.py`). What a caller sees
and may do is decided in `oakmill.registry`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from oakmill.errors import NoKey
from oakmill.hub import sessions
from oakmill.hub.csrf import require_own_page
from oakmill.hub.state import Hub
from oakmill.registry import callers, keys
from oakmill.registry.callers import Caller, Scope

_bearer = HTTPBearer(auto_error=False, description="An Oakmill key: oak_...")


async def hub(connection: HTTPConnection) -> Hub:
    """The hub of this process. What waits for nothing is async: a thread each costs more than it does."""
    found: Hub = connection.app.state.hub
    return found


TheHub = Annotated[Hub, Depends(hub)]


async def among_few(at: TheHub) -> AsyncIterator[None]:
    """Wait until few enough others are in a transaction; whoever waits here holds neither a connection nor a thread."""
    async with at.transactions:
        yield


Few = Annotated[None, Depends(among_few, scope="function")]


def session(at: TheHub, few: Few) -> Iterator[Session]:
    """One transaction for the request: committed before the answer is sent, rolled back when something is raised."""
    with at.db.session() as opened:
        yield opened


def reading(at: TheHub, few: Few) -> Iterator[Session]:
    """One transaction that only reads."""
    with at.db.reading() as opened:
        yield opened


Writing = Annotated[Session, Depends(session, scope="function")]
Reading = Annotated[Session, Depends(reading, scope="function")]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def who(request: Request, at: TheHub, given: Bearer) -> Caller:
    """Who asks; where no key is given, nobody in particular. A wrong key is refused, not taken for none.

    Raises:
        NoKey: the key is not known, has expired or was revoked.
        TooManyTries: too many wrong keys came from that address.
    """
    address = request.client.host if request.client else ""
    if given is not None:
        return identify(at, given.credentials, address)
    if sessions.COOKIE in request.cookies:
        return _of_cookie(request, at, request.cookies[sessions.COOKIE], address)
    return callers.anonymous(at.settings, address)


async def anyone(found: Annotated[Caller, Depends(who)]) -> Caller:
    """Who asks; a key is needed where the operator does not show what is public to everybody.

    Raises:
        NoKey: none was given, or it is not in force.
    """
    if not found.is_known and not found.sees_public:
        raise NoKey(remedy="Send a key: Authorization: Bearer oak_...")
    return found


async def caller(found: Annotated[Caller, Depends(who)]) -> Caller:
    """Who asks; a key is needed.

    Raises:
        NoKey: none was given, or it is not in force.
    """
    if not found.is_known:
        raise NoKey(remedy="Send a key: Authorization: Bearer oak_...")
    return found


def allowing(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """The dependency that lets callers through whose key has the scope."""

    async def allowed(found: Annotated[Caller, Depends(caller)]) -> Caller:
        found.require(scope)
        return found

    return allowed


Anyone = Annotated[Caller, Depends(anyone)]
"""May come without a key: sees what is public where the operator allows it."""
Reader = Annotated[Caller, Depends(allowing("read"))]
Converter = Annotated[Caller, Depends(allowing("convert"))]
Admin = Annotated[Caller, Depends(allowing("admin"))]


def identify(at: Hub, raw: str, address: str) -> Caller:
    """Who holds the key. A right key is let in however many wrong ones came from the same address.

    Raises:
        NoKey: the key is not known, has expired or was revoked.
        TooManyTries: too many wrong keys came from that address.
        TooManyRequests: the key made too many.
    """
    try:
        with at.db.reading() as opened:
            found = keys.authenticate(opened, raw, address=address)
    except NoKey:
        at.tries.check(address)
        at.tries.failed(address)
        at.later.note(lambda session: keys.refused(session, raw, address))
        raise
    return _let_in(at, found)


def _of_cookie(request: Request, at: Hub, token: str, address: str) -> Caller:
    """The holder of a web session; another site's page cannot act in their name.

    Raises:
        NoKey: the session is over.
        Forbidden: the request was made by another site.
        TooManyRequests: the key made too many.
    """
    require_own_page(request)
    key_id, session_id = sessions.claims(at, token)
    with at.db.reading() as opened:
        found = sessions.holder(opened, key_id, session_id, address)
    return _let_in(at, found)


def _let_in(at: Hub, found: Caller) -> Caller:
    """Count the request, and have the key's use noted."""
    own = found.requests_per_minute
    counted = found.key_id if own else found.owner_id  # a key with a limit of its own is not its user's other keys
    at.rates.take(counted or "", found.user_name or found.key_name, own)
    if keys.is_due(found):
        at.later.note(lambda session: keys.touch(session, found), once=f"used {found.key_id}")
    return found


def still(session: Session, found: Caller) -> Caller:
    """Who was let in earlier, as of now: what goes on for long asks again.

    Raises:
        NoKey: the key was revoked or has expired, or the session was signed out of.
    """
    if found.key_id is None:
        return found
    return sessions.holder(session, found.key_id, found.session_id, found.address)
