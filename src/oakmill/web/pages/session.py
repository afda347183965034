"""Signing in and out: by a pasted key or a link; the browser holds a signed cookie with the key's identifier alone."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import RedirectResponse, Response

from oakmill.errors import NoKey, OakmillError
from oakmill.hub import auth, sessions
from oakmill.registry import callers
from oakmill.registry.callers import Caller
from oakmill.web.forms.submitted import Form
from oakmill.web.page_context import PageContext
from oakmill.web.routing import page_router

pages = page_router()


@pages.get("/session")
def session_page(
    request: Request, at: auth.TheHub, next: Annotated[str, Query(max_length=2000)] = "/models"
) -> Response:
    """Who one is here; the form for a key where one is nobody."""
    found = _who(request, at)
    context = PageContext(request, at, found or callers.anonymous(at.settings))
    response: Response = context.page("session.html", back=own_path(next), wrong=None, days=sessions.DAYS)
    if found is None and sessions.COOKIE in request.cookies:
        sessions.forget(response)
    return response


@pages.post("/session")
def sign_in(request: Request, at: auth.TheHub, form: Form) -> Response:
    """Let the holder of a key, or of a link that signs in, in."""
    back = own_path(form.get("next"))
    address = request.client.host if request.client else ""
    try:
        found = _signed_in(at, form, address)
    except OakmillError as error:
        context = PageContext(request, at, callers.anonymous(at.settings, address))
        return context.page("session.html", status=error.status, back=back, wrong=error, days=sessions.DAYS)
    response = RedirectResponse(back, 303)
    sessions.begin(at, request, response, found)
    return response


def _signed_in(at: auth.TheHub, form: Form, address: str) -> Caller:
    """Whom a link or a key lets in.

    Raises:
        NoKey, TooManyTries, TooManyRequests: it does not.
    """
    if token := form.get("link"):
        return sessions.redeem(at, token, address)
    return auth.identify(at, form.get("key").strip(), address)


@pages.post("/session/end")
def sign_out(request: Request, at: auth.TheHub) -> Response:
    """End the session, also for who has kept its cookie, and forget who it was."""
    if found := _who(request, at):
        with at.db.session() as session:
            sessions.end(session, found)
    response = RedirectResponse("/session", 303)
    sessions.forget(response)
    return response


def own_path(text: str) -> str:
    """A path on this hub, whatever was asked for: no other site is sent to."""
    plain = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if plain and not text.startswith("/session") else "/models"


def _who(request: Request, at: auth.TheHub) -> Caller | None:
    try:
        return auth.who(request, at, None)
    except NoKey:
        return None
