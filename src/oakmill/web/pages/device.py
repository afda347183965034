"""Approving a login of the command line: by who is signed in, with the code that it shows."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from fastapi.responses import Response

from oakmill.errors import NotFound, SpecError
from oakmill.registry import logins
from oakmill.registry.callers import SCOPES
from oakmill.registry.tables import Login
from oakmill.web.forms.submitted import Form
from oakmill.web.page_context import Known, PageContext, Reading, Writing
from oakmill.web.pages.keys import MEANINGS
from oakmill.web.routing import page_router

pages = page_router()


@pages.get("/device")
def ask(context: Known, session: Reading, code: Annotated[str, Query(max_length=40)] = "") -> Response:
    """Who wants to log in with that code; without one, the form for it."""
    if not code:
        return _page(context)
    try:
        return _page(context, code, logins.waiting(session, code))
    except NotFound as error:
        return _wrong(context, code, error)


@pages.post("/device")
def answer(context: Known, session: Writing, form: Form) -> Response:
    """Approve a login, or refuse it."""
    code, scope = form.get("code"), form.get("scope")
    try:
        if form.get("verdict") != "approve":
            return _page(context, done=logins.refuse(session, context.caller, code), approved=False)
        if scope not in SCOPES:
            raise SpecError(f"{scope[:20]!r} is no scope.", remedy=f"Choose among {', '.join(SCOPES)}.")
        return _page(context, done=logins.approve(session, context.caller, code, scope), approved=True)
    except NotFound as error:
        return _wrong(context, code, error)


def _wrong(context: PageContext, code: str, error: NotFound) -> Response:
    """No login has that code; who tries many of them is stopped."""
    context.at.tries.check(context.caller.address)
    context.at.tries.failed(context.caller.address)
    return _page(context, code, wrong=error)


def _page(
    context: PageContext,
    code: str = "",
    found: Login | None = None,
    *,
    wrong: NotFound | None = None,
    done: Login | None = None,
    approved: bool = False,
) -> Response:
    scopes = logins.may_give(context.caller)
    return context.page(
        "device.html", status=wrong.status if wrong else 200, code=code, found=found, wrong=wrong, done=done,
        approved=approved, scopes=scopes, chosen="convert" if "convert" in scopes else scopes[-1], meanings=MEANINGS,
        minutes=logins.SECONDS // 60,
    )  # fmt: skip
