"""What a job leaves to be taken along: its whole log as text, and the debug bundle of a failure, without weights."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastapi.responses import RedirectResponse, Response, StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.conversion.failures import Failure, bundle
from oakmill.errors import NotFound
from oakmill.hub import files, links, visibility
from oakmill.hub.state import Hub
from oakmill.jobs import job_log
from oakmill.jobs.publish import DEBUG_BUNDLE
from oakmill.jobs.tables import Job, JobStatus, LogLine
from oakmill.registry.tables import Instance, InstanceFile
from oakmill.web.page_context import Known, Reading
from oakmill.web.routing import Id, page_router
from oakmill.web.views.filters import readable
from oakmill.web.views.job import recorded_failure

pages = page_router()

PIECE = 1000


@pages.get("/jobs/{job_id}/log.txt")
def log_text(job_id: Id, context: Known, session: Reading) -> Response:
    """The whole log."""
    job = visibility.job(session, context.caller, job_id)
    return StreamingResponse(
        _lines(context.at, job_id),
        media_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{links.quoted(job.name)}.log.txt"},
    )


def _lines(at: Hub, job_id: str) -> Iterator[str]:
    """The lines piece by piece: no reader holds the database while a slow client reads."""
    last = 0
    while True:
        with at.db.reading() as session:
            lines = job_log.read(session, job_id, last, PIECE)
            text = "".join(_line(line) for line in lines)
        if not lines:
            return
        last = lines[-1].number
        yield text


def _line(line: LogLine) -> str:
    return f"{line.at:%Y-%m-%d %H:%M:%S} {line.stage:<9} {line.kind:<8} {readable(line.text)}\n"


@pages.get("/jobs/{job_id}/bundle")
def debug_bundle(job_id: Id, context: Known, session: Reading) -> Response:
    """The bundle that the job left; else one of its failure, its log and what is known of its source."""
    job = visibility.job(session, context.caller, job_id)
    wanted = select(InstanceFile).where(InstanceFile.instance_id == job.result_id, InstanceFile.role == DEBUG_BUNDLE)
    file = session.scalars(wanted.order_by(InstanceFile.created.desc())).first()
    if file is not None:
        return RedirectResponse(files.link(context.at, context.request, context.caller, file).url, 303)
    if job.status != JobStatus.FAILED:
        raise NotFound(f"Job {job.name} did not fail, so it leaves no evidence.", subject=job_id, remedy="See its log.")
    name = links.quoted(f"{job.name}{bundle.ENDING}")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return Response(_bundled(context.at, session, job), media_type="application/zip", headers=headers)


def _bundled(at: Hub, session: Session, job: Job) -> bytes:
    """The source itself is not opened here, in the process that serves: what its inspection found stands for it."""
    source = session.get(Instance, job.source_id) if job.source_id else None
    known = {"name": source.name, "sha256": source.sha256, "size": source.size, **source.facts} if source else {}
    failure = _failure(job, job_log.tail(session, job.id, PIECE))
    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
        target = Path(folder) / "bundle.zip"
        bundle.write(target, failure, settings=at.settings)
        with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("source.json", json.dumps(known, indent=1, default=str) + "\n")
        return target.read_bytes()


def _failure(job: Job, lines: Sequence[LogLine]) -> Failure:
    log = tuple(readable(line.text) for line in lines)
    update = {"log": log, "spec": job.spec, "platform": job.platform or ""}
    return recorded_failure(job).model_copy(update=update)
