"""A team's webhooks: its admins add, list and remove them, see what was sent, and send it again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, NotFound, SpecError
from oakmill.jobs.states import TEST_EVENT, DeliveryStatus, Event
from oakmill.jobs.tables import Delivery, Webhook
from oakmill.jobs.webhooks import outbox, signing
from oakmill.registry import audit
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import new_id
from oakmill.settings import Settings
from oakmill.storage.database import moment

MOST = 20
"""Webhooks of a team."""
MOST_TESTS = 10
"""Tests that wait to be sent to one webhook."""
OVERLAP = timedelta(days=1)
"""How long the secret of before signs too."""
_URL = re.compile(r"https?://[!-~]{1,1900}")


def add(session: Session, caller: Caller, url: str, events: Sequence[str], settings: Settings) -> Webhook:
    """A new webhook; its secret is to be told this once.

    Raises:
        NoKey, Forbidden: the key is not an admin's of the whole team, or ends.
        SpecError: the address is none that webhooks may go to; an event is not known.
        Conflict: the team has as many as it may have.
    """
    team_id = _ruled(caller)
    caller.require_lasting("a webhook")
    count = session.scalar(select(func.count()).select_from(Webhook).where(Webhook.team_id == team_id)) or 0
    if count >= MOST:
        raise Conflict(f"The team has {count} webhooks; there is room for no more.", remedy="Remove one of them.")
    url, known = _checked(url, settings), [event for event in Event if event in events]
    if not known or set(events) - set(known):
        remedy = f"Choose among {', '.join(Event)}."
        raise SpecError(f"A webhook cannot tell of: {', '.join(set(events) - set(known)) or 'nothing'}.", remedy=remedy)
    made = Webhook(
        id=new_id("aiw"), team_id=team_id, url=url, events=[*known], secret=signing.new_secret(),
        created=moment(session),
    )  # fmt: skip
    session.add(made)
    audit.record(session, caller, "webhook.add", made.id, url=url, events=made.events)
    return made


def _checked(url: str, settings: Settings) -> str:
    url = url.strip()
    try:
        parts = urlsplit(url)
        whole = bool(_URL.fullmatch(url) and parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or "@" in parts.netloc or parts.fragment:
        remedy = "Give one as https://ci.example.com/hooks/oakmill: no spaces, no password, no #."
        raise SpecError(f"{url[:200]!r} is no address that a webhook can go to.", subject=url[:200], remedy=remedy)
    if parts.scheme != "https" and not settings.webhook_networks:
        remedy = "Use https; the operator may allow networks of their own (OAKMILL_WEBHOOK_NETWORKS)."
        raise SpecError("A webhook goes by https alone.", subject=url, remedy=remedy)
    return url


def listed(session: Session, caller: Caller) -> list[Webhook]:
    """The team's, the oldest first.

    Raises:
        NoKey, Forbidden: as `add`.
    """
    mine = select(Webhook).where(Webhook.team_id == _ruled(caller))
    return list(session.scalars(mine.order_by(Webhook.created, Webhook.id)))


def named(session: Session, caller: Caller, webhook_id: str) -> Webhook:
    """One of the team's.

    Raises:
        NoKey, Forbidden: as `add`.
        NotFound: the team has none of that identifier.
    """
    team_id, found = _ruled(caller), session.get(Webhook, webhook_id)
    if found is None or found.team_id != team_id:
        remedy = "`oakmill webhooks list` shows the team's."
        raise NotFound(f"The team has no webhook {webhook_id!r}.", subject=webhook_id, remedy=remedy)
    return found


def remove(session: Session, caller: Caller, webhook_id: str) -> None:
    """Tell it nothing more; what waited for it goes with it.

    Raises:
        NoKey, Forbidden, NotFound: as `named`.
    """
    found = named(session, caller, webhook_id)
    session.delete(found)
    audit.record(session, caller, "webhook.remove", found.id, url=found.url)


def rotate(session: Session, caller: Caller, webhook_id: str) -> Webhook:
    """Give it a new secret, to be told this once; the one of before signs too for another day.

    Raises:
        NoKey, Forbidden, NotFound: as `named`; Forbidden too where the key ends.
    """
    found = named(session, caller, webhook_id)
    caller.require_lasting("the new secret")
    found.old_secret, found.old_until = found.secret, moment(session) + OVERLAP
    found.secret = signing.new_secret()
    audit.record(session, caller, "webhook.rotate", found.id)
    return found


def test(session: Session, caller: Caller, webhook_id: str) -> Delivery:
    """Send it a message that tells of nothing.

    Raises:
        NoKey, Forbidden, NotFound: as `named`.
        Conflict: so many wait already.
    """
    found = named(session, caller, webhook_id)
    waiting = Delivery.webhook_id == found.id, Delivery.event == TEST_EVENT, Delivery.status == DeliveryStatus.PENDING
    if (session.scalar(select(func.count()).where(*waiting)) or 0) >= MOST_TESTS:
        raise Conflict(f"{MOST_TESTS} tests wait for this webhook.", subject=found.id, remedy="See what came of them.")
    audit.record(session, caller, "webhook.test", found.id)
    return outbox.test(session, found)


def deliveries(session: Session, caller: Caller, webhook_id: str | None = None, limit: int = 50) -> list[Delivery]:
    """What was sent last, or waits, the latest first: of that webhook, or of all of the team's.

    Raises:
        NoKey, Forbidden, NotFound: as `named`.
    """
    wanted = select(Delivery).join(Webhook, Webhook.id == Delivery.webhook_id)
    if webhook_id is None:
        wanted = wanted.where(Webhook.team_id == _ruled(caller))
    else:
        wanted = wanted.where(Webhook.id == named(session, caller, webhook_id).id)
    return list(session.scalars(wanted.order_by(Delivery.created.desc(), Delivery.id).limit(limit)))


def delivery(session: Session, caller: Caller, delivery_id: str) -> Delivery:
    """One message to one of the team's.

    Raises:
        NoKey, Forbidden: as `add`.
        NotFound: the team has none of that identifier.
    """
    mine = select(Delivery).join(Webhook, Webhook.id == Delivery.webhook_id)
    mine = mine.where(Webhook.team_id == _ruled(caller), Delivery.id == delivery_id)
    if (found := session.scalars(mine).first()) is None:
        remedy = "`oakmill webhooks deliveries` shows the last ones."
        raise NotFound(f"No webhook of the team was sent {delivery_id!r}.", subject=delivery_id, remedy=remedy)
    return found


def again(session: Session, caller: Caller, delivery_id: str) -> Delivery:
    """Send the same message again, under the same identifier; one that waits is sent now.

    Raises:
        NoKey, Forbidden, NotFound: as `delivery`.
    """
    found = delivery(session, caller, delivery_id)
    found.status, found.attempt, found.due, found.token = DeliveryStatus.PENDING, 0, moment(session), None
    found.sent, found.code, found.error, found.answer, found.seconds = None, None, "", "", None
    audit.record(session, caller, "webhook.again", found.id)
    return found


def _ruled(caller: Caller) -> str:
    """The team whose admin asks."""
    caller.require("admin")
    caller.require_whole_team()
    return caller.own_team()
