"""Signing in and out: at a provider, by a pasted key or a link; the browser holds a signed cookie, and no key."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import RedirectResponse, Response

from oakmill.errors import HubError, NoKey, OakmillError
from oakmill.hub import auth, sessions
from oakmill.hub import sign_in as sign_in_there
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
    response = _page(request, at, found, own_path(next))
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
        return _page(request, at, None, back, wrong=error)
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
    response = RedirectResponse("/session?out" if found and found.user_id else "/session", 303)
    sessions.forget(response)
    return response


@pages.get("/session/provider")
def to_provider(
    request: Request, at: auth.TheHub, next: Annotated[str, Query(max_length=2000)] = "/models"
) -> Response:
    """Away, to sign in at the operator's provider."""
    back = own_path(next)
    try:
        where, cookie = sign_in_there.begin(at, request, back)
    except HubError as error:
        return _page(request, at, None, back, refused=error)
    response = RedirectResponse(where, 303)
    sign_in_there.keep(at, request, response, cookie)
    return response


@pages.get("/session/provider/back")
def from_provider(request: Request, at: auth.TheHub) -> Response:
    """Back from the provider. The next page is gone to from a page of ours: after another's the session is not sent."""
    try:
        found, back = sign_in_there.finish(at, request)
    except HubError as error:
        response = _page(request, at, None, "/models", refused=error)
    else:
        context = PageContext(request, at, callers.anonymous(at.settings))
        response = context.page("session_begun.html", back=own_path(back), name=found.user_name)
        sessions.begin(at, request, response, found)
    response.delete_cookie(sign_in_there.COOKIE, path=sign_in_there.PATH)
    return response


def _page(
    request: Request,
    at: auth.TheHub,
    found: Caller | None,
    back: str,
    *,
    wrong: OakmillError | None = None,
    refused: OakmillError | None = None,
) -> Response:
    """The page; `wrong` is what is wrong with a key that was given, `refused` why a sign-in at the provider failed."""
    address = request.client.host if request.client else ""
    context = PageContext(request, at, found or callers.anonymous(at.settings, address))
    error = wrong or refused
    return context.page(
        "session.html", status=error.status if error else 200, back=back, wrong=wrong, refused=refused,
        days=sessions.DAYS, provider_days=at.settings.oidc_days, provider=at.settings.oidc_name if at.provider else "",
        sign_out_there=sign_in_there.sign_out_address(at, request) if "out" in request.query_params else None,
    )  # fmt: skip


def own_path(text: str) -> str:
    """A path on this hub, whatever was asked for: no other site is sent to."""
    plain = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if plain and not text.startswith("/session") else "/models"


def _who(request: Request, at: auth.TheHub) -> Caller | None:
    try:
        return auth.who(request, at, None)
    except NoKey:
        return None
