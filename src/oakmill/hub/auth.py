"""Who asks, and with which session: the dependencies that every route of the hub begins with.

A key comes as `Authorization: Bearer oak_...`, or by the cookie of a web session, which is signed, expires, and holds
the key's identifier only. What a caller sees and may do is decided in `oakmill.registry`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from oakmill.errors import NoKey, NotFound
from oakmill.hub import links
from oakmill.hub.csrf import require_own_page
from oakmill.hub.state import Hub
from oakmill.registry import callers, keys
from oakmill.registry.callers import Caller, Scope
from oakmill.registry.tables import Key, Team

COOKIE = "oakmill_session"
SESSION_SECONDS = 12 * 3600
_SESSION = "session"
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
    if COOKIE in request.cookies:
        return _of_cookie(request, at, request.cookies[COOKIE], address)
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
    """
    try:
        with at.db.reading() as opened:
            found = keys.authenticate(opened, raw, address=address)
    except NoKey:
        at.tries.check(address)
        at.tries.failed(address)
        raise
    _note_use(at, found)
    return found


def begin_session(at: Hub, response: Response, found: Caller, *, secure: bool) -> None:
    """Let the browser come back as this caller, until the session expires or the key is revoked."""
    token = links.sign(at.secret, _SESSION, {"key": found.key_id}, seconds=SESSION_SECONDS)
    response.set_cookie(COOKIE, token, max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)


def end_session(response: Response) -> None:
    """Let the browser forget who it came as."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _of_cookie(request: Request, at: Hub, token: str, address: str) -> Caller:
    """The holder of a web session; another site's page cannot act in their name.

    Raises:
        NoKey: the session is over.
        Forbidden: the request was made by another site.
    """
    require_own_page(request)
    try:
        key_id = links.read(at.secret, _SESSION, token)["key"]
    except NotFound:
        raise NoKey("The session is over.", remedy="Sign in again.") from None
    with at.db.reading() as opened:
        key = opened.get(Key, key_id)
        if key is None or not keys.is_live(key):
            raise NoKey("The session is over.", remedy="Sign in again.")
        team = opened.get_one(Team, key.team_id)
    found = Caller(
        key.id, key.name, team.id, team.slug, frozenset(key.scopes.split(",")), key.model_id, address,
        last_used=key.last_used,
    )  # fmt: skip
    _note_use(at, found)
    return found


def _note_use(at: Hub, found: Caller) -> None:
    if keys.is_due(found):
        with at.db.session() as opened:
            keys.touch(opened, found)
