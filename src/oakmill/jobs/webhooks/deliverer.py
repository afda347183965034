"""Sends what waits in the outbox, from any process of the hub: a lease keeps two from sending the same at once.

A process that ends in the middle leaves a message whose lease runs out, and another sends it again under the same
identifier. So a message arrives at least once, and its receiver can tell when it was twice.
"""

from __future__ import annotations

import logging
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import BoundedSemaphore

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from oakmill.jobs.rounds import Rounds
from oakmill.jobs.states import DeliveryStatus
from oakmill.jobs.tables import Delivery, Webhook
from oakmill.jobs.webhooks import signing
from oakmill.jobs.webhooks.sending import Outcome, send
from oakmill.settings import Settings
from oakmill.storage.database import Database, moment

PAUSES = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800)
"""Seconds before each further try, a day in all; after the last it has failed."""
EVERY_SECONDS = 1.0
AT_ONCE = 8
"""Messages that a process sends side by side; each webhook gets one after the other."""
OF_A_TEAM = AT_ONCE // 2
"""Of these at most are one team's, whose receivers may be slow; the others are left to other teams."""
_IN_A_ROW = 50
_MARGIN = 5.0
_TRIMMED = 1000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claimed:
    """A message that this process is to send now; nobody else does while `token` stands in its row."""

    id: str
    token: str
    webhook_id: str
    url: str
    secrets: tuple[str, ...]
    body: bytes
    attempt: int

    @classmethod
    def of(cls, delivery: Delivery, webhook: Webhook, token: str, at: datetime) -> Claimed:
        """Signed by the secret of before, too, as long as that counts."""
        old = webhook.old_secret if webhook.old_until and webhook.old_until > at else None
        keys = (webhook.secret, *([old] if old else []))
        return cls(delivery.id, token, webhook.id, webhook.url, keys, delivery.body.encode(), delivery.attempt)


def claim(session: Session, lease: timedelta, webhook_id: str | None = None) -> Claimed | None:
    """Take the message that is due for longest, of that webhook or any; None when there is none.

    A webhook whose message is being sent is passed over, and a team that has enough of those.
    """
    at = moment(session)
    sent_now = Delivery.token.is_not(None), Delivery.due > at
    busy = select(Delivery.webhook_id).where(*sent_now)
    full = select(Webhook.team_id).join(Delivery, Delivery.webhook_id == Webhook.id).where(*sent_now)
    full = full.group_by(Webhook.team_id).having(func.count() >= OF_A_TEAM)
    waits = select(Webhook.id).where(Webhook.team_id.in_(full))
    wanted = [
        Delivery.status == DeliveryStatus.PENDING, Delivery.due <= at,
        Delivery.webhook_id.not_in(busy), Delivery.webhook_id.not_in(waits),
    ]  # fmt: skip
    if webhook_id is not None:
        wanted.append(Delivery.webhook_id == webhook_id)
    due = select(Delivery).where(*wanted).order_by(Delivery.due, Delivery.id).limit(1)
    row = session.scalars(due.with_for_update(skip_locked=True)).first()
    if row is None:
        return None
    row.token, row.due, row.attempt = secrets.token_hex(16), at + lease, row.attempt + 1
    return Claimed.of(row, session.get_one(Webhook, row.webhook_id), row.token, at)


def is_idle(session: Session) -> bool:
    """Whether nothing is due: looking waits for no writer."""
    due = Delivery.status == DeliveryStatus.PENDING, Delivery.due <= moment(session)
    return session.scalar(select(Delivery.id).where(*due).limit(1)) is None


def record(session: Session, claimed: Claimed, outcome: Outcome) -> DeliveryStatus | None:
    """Write what came of it; None, and nothing is written, when the lease was lost."""
    at, tried = moment(session), claimed.attempt - 1
    status, due = DeliveryStatus.PENDING, at
    if not outcome.error:
        status = DeliveryStatus.DELIVERED
    elif outcome.is_final or tried >= len(PAUSES):
        status = DeliveryStatus.FAILED
    else:
        due = at + timedelta(seconds=PAUSES[tried])
    values = {"code": outcome.code, "error": outcome.error, "answer": outcome.answer, "seconds": outcome.seconds}
    ours = Delivery.id == claimed.id, Delivery.token == claimed.token
    written = update(Delivery).where(*ours).values(status=status, due=due, sent=at, token=None, **values)
    return status if session.scalar(written.returning(Delivery.id)) else None


def trim(session: Session, days: int) -> bool:
    """Remove messages that are so old; whether there may be more. 0 days keep all."""
    if not days:
        return False
    old = select(Delivery.id).where(Delivery.created < moment(session) - timedelta(days=days))
    over = session.scalars(old.where(Delivery.status != DeliveryStatus.PENDING).limit(_TRIMMED)).all()
    session.execute(delete(Delivery).where(Delivery.id.in_(over)))
    return len(over) == _TRIMMED


class Deliverer(Rounds):
    """A thread that looks every second for what is due, and threads that send it."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self._settings, self._db = settings, db
        self._lease = timedelta(seconds=settings.webhook_seconds + _MARGIN)
        self._pool = ThreadPoolExecutor(AT_ONCE, "webhooks")
        self._free = BoundedSemaphore(AT_ONCE)
        super().__init__("webhooks", EVERY_SECONDS)

    def round(self) -> None:
        """Begin to send what is due, as far as there are threads for it."""
        while not self._ending.is_set() and self._free.acquire(blocking=False):
            claimed = self._claim()
            if claimed is None:
                self._free.release()
                return
            self._pool.submit(self._deliver, claimed)

    def close(self) -> None:
        """End, once what is being sent has arrived, or has not."""
        super().close()
        self._pool.shutdown()

    def _claim(self, webhook_id: str | None = None) -> Claimed | None:
        try:
            with self._db.reading() as session:
                if is_idle(session):
                    return None
            with self._db.session() as session:
                return claim(session, self._lease, webhook_id)
        except SQLAlchemyError as error:
            _log.warning("what webhooks are to tell cannot be read: %s", error)
            return None

    def _deliver(self, first: Claimed) -> None:
        """Send it, and what follows it to the same receiver; after a while others are to have their turn."""
        try:
            claimed: Claimed | None = first
            rest = _IN_A_ROW
            while claimed is not None:
                self._send(claimed)
                rest -= 1
                claimed = self._claim(first.webhook_id) if rest and not self._ending.is_set() else None
        except Exception:  # noqa: BLE001 - the lease runs out, and it is sent again
            _log.exception("webhook %s: a message cannot be sent", first.webhook_id)
        finally:
            self._free.release()

    def _send(self, claimed: Claimed) -> None:
        headers = signing.headers(claimed.id, claimed.body, claimed.secrets, int(time.time()))
        outcome = send(claimed.url, claimed.body, headers, self._settings)
        with self._db.session() as session:
            status = record(session, claimed, outcome)
        if status is DeliveryStatus.FAILED:
            words = "webhook %s: %s was not delivered in %d tries: %s"
            _log.warning(words, claimed.webhook_id, claimed.id, claimed.attempt, outcome.error)
