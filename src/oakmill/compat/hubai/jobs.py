"""HubAI's jobs, which its client polls: conversions, and the taking in of uploads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.calibration.datasets import State, entries
from oakmill.compat import advice
from oakmill.compat.hubai import words
from oakmill.compat.wire import JOBS, Json, naive, router
from oakmill.hub import visibility
from oakmill.hub.auth import Reader, Reading, TheHub
from oakmill.hub.routing import Id
from oakmill.hub.state import Hub
from oakmill.jobs import job_log
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.tables import InstanceFile
from oakmill.storage.tables import Upload, UploadStatus

routes = router()

_UPLOAD = "aiu_"
_LINES = 200
_TAIL = 25
_NO_SET = "SetMissing"


@routes.get(f"{JOBS}/jobs/{{job_id}}")
def get_job(job_id: Id, session: Reading, caller: Reader, at: TheHub) -> Json:
    """How a job stands."""
    if job_id.startswith(_UPLOAD):
        return upload_shape(session, visibility.upload(session, caller, job_id))
    return shape(session, at, visibility.job(session, caller, job_id))


def shape(session: Session, at: Hub, row: Job) -> Json:
    """A conversion."""
    done = row.status == JobStatus.SUCCEEDED
    found = _job(row.id, row.name, words.JOB_STATES[JobStatus(row.status)])
    return found | {
        "queued_at": naive(row.queued),
        "started_at": _naive(row.started),
        "finished_at": _naive(row.finished),
        "arguments": row.spec,
        "logs": "\n".join(line.text for line in job_log.tail(session, row.id, _LINES)),
        "exception": "\n".join(_why(at, row)) or None,
        "result": {"resulting_model_instance_id": row.result_id} if done else None,
        "steps": [{"name": item["name"], "status": words.STAGE_STATES[item["status"]]} for item in row.stages],
    }


def upload_shape(session: Session, row: Upload) -> Json:
    """The taking in of an upload, which is through when the instance has the file."""
    return _job(row.id, f"upload of {row.name}", _upload_state(session, row)) | {"exception": row.error}


def _job(job_id: str, name: str, status: str) -> Json:
    return {
        "id": job_id,
        "name": name[:255],
        "status": status,
        "arguments": {},
        "extra": {},
        "queued_at": None,
        "started_at": None,
        "finished_at": None,
        "logs": None,
        "exception": None,
        "result": None,
        "steps": None,
    }


def _upload_state(session: Session, row: Upload) -> str:
    if row.status == UploadStatus.FAILED:
        return "FAILED"
    if row.status == UploadStatus.OPEN:
        return "QUEUED"
    taken = select(InstanceFile.id).where(
        InstanceFile.instance_id == row.purpose.get("instance_id"), InstanceFile.sha256 == row.sha256
    )
    return "COMPLETED" if session.scalar(taken.limit(1)) is not None else "RUNNING"


def _why(at: Hub, row: Job) -> Iterator[str]:
    """All that a user is to know of a failure: clients show this alone."""
    failure: Mapping[str, Any] = row.failure or {}
    if not failure:
        yield from filter(None, [row.error])
        return
    said = (failure.get(name) for name in ("title", "sentence", "details", "cause"))
    yield from dict.fromkeys(advice.translated(str(text)) for text in said if text)
    yield from advice.remedies(failure)
    if failure.get("code") == _NO_SET:
        yield f"Installed here: {', '.join(_installed(at)) or 'none'}."
    if tail := list(failure.get("log") or ())[-_TAIL:]:
        yield "The end of the tool's log:"
        yield from map(str, tail)


def _installed(at: Hub) -> list[str]:
    return [entry.name.upper() for entry in entries(at.settings) if entry.state in (State.INSTALLED, State.OWN)]


def _naive(moment: datetime | None) -> str | None:
    return naive(moment) if moment else None
