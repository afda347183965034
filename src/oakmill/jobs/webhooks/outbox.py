"""Writes what webhooks are to tell, in the very transaction in which it happens: neither is ever without the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from oakmill.findings import Severity
from oakmill.jobs.states import TEST_EVENT, Event, JobStatus
from oakmill.jobs.tables import Delivery, Job, Webhook
from oakmill.registry.identifiers import letters
from oakmill.registry.tables import Instance
from oakmill.storage.database import moment

_ENDS = {
    JobStatus.SUCCEEDED: Event.SUCCEEDED,
    JobStatus.FAILED: Event.FAILED,
    JobStatus.CANCELLED: Event.CANCELLED,
}
_TOLD = (
    Job.id, Job.number, Job.name, Job.kind, Job.platform, Job.status, Job.attempt, Job.model_id, Job.source_id,
    Job.result_id, Job.answered_by, Job.queued, Job.started, Job.finished, Job.error, Job.result,
)  # fmt: skip
_FLAGS = (Severity.WARNING, Severity.ERROR)


def ended(session: Session, job_ids: Sequence[str]) -> None:
    """Tell of jobs that have ended."""
    if not job_ids:
        return
    wanted = select(Webhook.id.label("webhook_id"), Webhook.events, *_TOLD).join(Job, Job.team_id == Webhook.team_id)
    for row in session.execute(wanted.where(Job.id.in_(job_ids))).all():
        event = _ENDS[JobStatus(row.status)]
        if event in row.events:
            put(session, row.webhook_id, event, {"job": _job(row)})


def _job(row: Row[Any]) -> dict[str, Any]:
    """What is told of a job; its log and its files are asked for by who wants them."""
    told = {name.key: getattr(row, name.key) for name in _TOLD[:-1]}
    return {**told, "verdict": (row.result or {}).get("verdict")}


def flagged(session: Session, instance: Instance) -> None:
    """Tell of a result whose passport says that it may disappoint."""
    if instance.verdict not in _FLAGS:
        return
    told = {name: getattr(instance, name) for name in ("id", "name", "slug", "model_id", "job_id", "model_type")}
    for webhook in session.scalars(select(Webhook).where(Webhook.team_id == instance.team_id)).all():
        if Event.FLAGGED in webhook.events:
            put(session, webhook.id, Event.FLAGGED, {"instance": {**told, "verdict": instance.verdict}})


def test(session: Session, webhook: Webhook) -> Delivery:
    """A message that tells of nothing."""
    return put(session, webhook.id, TEST_EVENT, {"webhook": {"id": webhook.id, "events": webhook.events}})


def put(session: Session, webhook_id: str, event: str, data: Mapping[str, Any]) -> Delivery:
    """Add a message, which is sent once the transaction is committed; its bytes are the same at each try."""
    present = moment(session)
    body = json.dumps({"type": event, "timestamp": present, "data": data}, default=_moment, ensure_ascii=False)
    values = {"webhook_id": webhook_id, "event": event, "body": body}
    made = Delivery(id=f"msg_{letters(24)}", created=present, due=present, **values)
    session.add(made)
    return made


def _moment(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
