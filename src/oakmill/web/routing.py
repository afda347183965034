"""How a page answers: its route guards unsafe requests, turns errors into pages, and sends the security headers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route
from starlette.types import Scope

from oakmill.errors import HubError, NoKey, NotFound, OakmillError, SpecError
from oakmill.hub import sessions
from oakmill.hub.csrf import SAFE, require_own_page
from oakmill.spec import wrong
from oakmill.web.compression import compress
from oakmill.web.render import error_page

Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
_log = logging.getLogger(__name__)
_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route whose answer is for people, whatever happens."""

    def get_route_handler(self) -> _Handler:
        """The route's handler, guarded and with its errors told."""
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                require_own_page(request)
                response = await handle(request)
            except ClientDisconnect:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, people get a page and the log the rest
                response = told(request, error)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            compress(request, response)
            return response

        return answered


def page_router() -> APIRouter:
    """A router for one kind of page."""
    return APIRouter(route_class=PageRoute)


def told(request: Request, error: Exception) -> Response:
    """The page that tells an error; who has no key, or one that is over, is asked for one and comes back."""
    known = _known(error)
    if isinstance(known, NoKey):
        return sign_in(request)
    if known.status >= 500:
        _log.error("%s %s", request.method, request.url.path, exc_info=error)
    return error_page(request, known)


def sign_in(request: Request) -> Response:
    """To the page that asks for a key. A session that is over is forgotten."""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    where = f"/session?next={quote(back)}" if request.method in SAFE else "/session"
    response: Response = RedirectResponse(where, 303)
    if request.headers.get("hx-request"):
        response = Response(status_code=204, headers={"HX-Redirect": where})
    if sessions.COOKIE in request.cookies:
        sessions.forget(response)
    return response


def _known(error: Exception) -> OakmillError:
    if isinstance(error, OakmillError):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        what = ".".join(map(str, first["loc"][1:]))
        kind = NotFound if first["loc"][0] == "path" else SpecError
        return kind(f"{what}: {wrong.in_words(first)}", subject=what, remedy="Go back, and look at what was asked.")
    if isinstance(error, HTTPException) and error.status_code == 404:
        return NotFound("There is no such page.")
    return HubError("The hub met an error that it does not know.", remedy="The hub's log has the details.")


class Nowhere(Route):
    """Answers people who ask for a page that is not there; programs are answered by the API."""

    def __init__(self) -> None:
        super().__init__("/{path:path}", self._missing, methods=["GET"])

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Only for those who want a page."""
        headers = dict(scope.get("headers", ()))
        if b"text/html" not in headers.get(b"accept", b"") or "/api/" in scope.get("path", ""):
            return Match.NONE, {}
        return super().matches(scope)

    async def _missing(self, request: Request) -> Response:
        response = told(request, NotFound(f"There is no page {request.url.path}."))
        response.headers.update(HEADERS)
        return response
