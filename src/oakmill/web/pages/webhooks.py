"""Webhooks: which address is told of what, what was sent last, and sending it again."""

from __future__ import annotations

from fastapi.responses import Response
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, OakmillError, SpecError
from oakmill.jobs.states import Event
from oakmill.jobs.tables import Webhook
from oakmill.jobs.webhooks import endpoints
from oakmill.storage.database import moment
from oakmill.web.forms.submitted import Fields, Form
from oakmill.web.once import Once
from oakmill.web.page_context import PageContext, Reading, Ruling, Writing
from oakmill.web.routing import Id, page_router

pages = page_router()

LAST = 50
MEANINGS = {
    Event.SUCCEEDED: "a job is done",
    Event.FAILED: "a job failed",
    Event.CANCELLED: "a job was cancelled",
    Event.FLAGGED: "a result's passport warns",
}
_MADE = Once("made-webhook", "/webhooks")


@pages.get("/webhooks")
def list_page(context: Ruling, session: Reading) -> Response:
    """The team's webhooks, and what was sent to them last."""
    made = _MADE.shown(context)
    response = _page(context, session, made=made)
    if made is not None:
        _MADE.forget(response)
    return response


@pages.post("/webhooks")
def add(context: Ruling, session: Writing, form: Form) -> Response:
    """Add one, and show its secret once."""
    try:
        made = endpoints.add(session, context.caller, form.get("url"), form.all("event"), context.at.settings)
    except (SpecError, Conflict) as error:
        return _page(context, session, wrong=error, given=form, status=error.status)
    return _told(context, made)


@pages.post("/webhooks/{webhook_id}/secret")
def rotate(webhook_id: Id, context: Ruling, session: Writing) -> Response:
    """Give it a new secret, and show it once."""
    return _told(context, endpoints.rotate(session, context.caller, webhook_id))


def _told(context: PageContext, made: Webhook) -> Response:
    return _MADE.go(context, url=made.url, secret=made.secret)


@pages.post("/webhooks/{webhook_id}/remove")
def remove(webhook_id: Id, context: Ruling, session: Writing) -> Response:
    """Tell it nothing more."""
    endpoints.remove(session, context.caller, webhook_id)
    return context.go("/webhooks")


@pages.post("/webhooks/{webhook_id}/test")
def test(webhook_id: Id, context: Ruling, session: Writing) -> Response:
    """Send it a message that tells of nothing."""
    endpoints.test(session, context.caller, webhook_id)
    return context.go("/webhooks#deliveries")


@pages.post("/deliveries/{delivery_id}/again")
def again(delivery_id: Id, context: Ruling, session: Writing) -> Response:
    """Send the same message again."""
    endpoints.again(session, context.caller, delivery_id)
    return context.go("/webhooks#deliveries")


@pages.get("/webhooks/deliveries")
def deliveries_part(context: Ruling, session: Reading) -> Response:
    """What was sent last, drawn again while something waits."""
    return context.part("webhooks_deliveries.html", **_deliveries(context, session))


def _deliveries(context: PageContext, session: Session) -> dict[str, object]:
    found = endpoints.deliveries(session, context.caller, limit=LAST)
    urls = {row.id: row.url for row in endpoints.listed(session, context.caller)}
    soon = any(row.status == "pending" and not row.error for row in found)
    return {"deliveries": found, "urls": urls, "soon": soon, "last": LAST}


def _page(
    context: PageContext,
    session: Session,
    *,
    made: dict[str, str] | None = None,
    wrong: OakmillError | None = None,
    given: Fields | None = None,
    status: int = 200,
) -> Response:
    rows = endpoints.listed(session, context.caller)
    return context.page(
        "webhooks.html", status=status, rows=rows, made=made, wrong=wrong, given=given or Fields([]),
        meanings=MEANINGS, present=moment(session), **_deliveries(context, session),
    )  # fmt: skip
