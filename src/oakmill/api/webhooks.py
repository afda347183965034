"""Webhooks over HTTP, for the team's admins: what is told to which address, and what came of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field

from oakmill.api.bodies import Body
from oakmill.hub import wire
from oakmill.hub.auth import Admin, Reading, TheHub, Writing
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Listed
from oakmill.jobs.states import Event
from oakmill.jobs.webhooks import endpoints

routes = router("webhooks")

Limit = Annotated[int, Query(ge=1, le=500)]


class WebhookIn(Body):
    """A new webhook of the caller's team."""

    url: str = Field(min_length=8, max_length=1900, description="https://...")
    events: list[Event] = Field([*Event], min_length=1, max_length=len(Event), description="By default all.")


@routes.get("/webhooks")
def list_webhooks(session: Reading, caller: Admin) -> Listed[wire.Webhook]:
    """The team's webhooks, the oldest first."""
    return Listed(items=tuple(map(wire.Webhook.model_validate, endpoints.listed(session, caller))))


@routes.post("/webhooks", status_code=201)
def add_webhook(body: WebhookIn, session: Writing, caller: Admin, at: TheHub) -> wire.NewWebhook:
    """A new webhook; its secret is told this once. It verifies by any library of standardwebhooks.com."""
    return wire.NewWebhook.model_validate(endpoints.add(session, caller, body.url, body.events, at.settings))


@routes.delete("/webhooks/{webhook_id}", status_code=204)
def remove_webhook(webhook_id: Id, session: Writing, caller: Admin) -> None:
    """Tell it nothing more; what waited for it goes with it."""
    endpoints.remove(session, caller, webhook_id)


@routes.post("/webhooks/{webhook_id}/secret")
def rotate_secret(webhook_id: Id, session: Writing, caller: Admin) -> wire.NewWebhook:
    """A new secret, told this once; the one of before signs too for another day."""
    return wire.NewWebhook.model_validate(endpoints.rotate(session, caller, webhook_id))


@routes.post("/webhooks/{webhook_id}/test", status_code=202)
def test_webhook(webhook_id: Id, session: Writing, caller: Admin) -> wire.Delivery:
    """Send it a message that tells of nothing."""
    made = endpoints.test(session, caller, webhook_id)
    session.flush()
    return wire.Delivery.model_validate(made)


@routes.get("/webhooks/{webhook_id}/deliveries")
def list_deliveries(webhook_id: Id, session: Reading, caller: Admin, limit: Limit = 50) -> Listed[wire.Delivery]:
    """What it was sent last, or is to be sent, the latest first."""
    found = endpoints.deliveries(session, caller, webhook_id, limit)
    return Listed(items=tuple(map(wire.Delivery.model_validate, found)))


@routes.get("/deliveries/{delivery_id}")
def get_delivery(delivery_id: Id, session: Reading, caller: Admin) -> wire.Delivery:
    """One message, and what came of it."""
    return wire.Delivery.model_validate(endpoints.delivery(session, caller, delivery_id))


@routes.post("/deliveries/{delivery_id}/again", status_code=202)
def send_again(delivery_id: Id, session: Writing, caller: Admin) -> wire.Delivery:
    """Send the same message again, under the same identifier."""
    return wire.Delivery.model_validate(endpoints.again(session, caller, delivery_id))
