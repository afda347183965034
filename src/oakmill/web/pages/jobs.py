"""A conversion's page: where it stands, its log as it is written, and in the end what it made or why it failed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi.responses import RedirectResponse, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from oakmill.conversion.passport import page as passport_page
from oakmill.hub import agents, visibility
from oakmill.jobs import job_log, roster
from oakmill.jobs.kinds import ON_CAMERA
from oakmill.jobs.publish import DEBUG_BUNDLE
from oakmill.jobs.tables import LIVE, Job, JobStatus, LogLine
from oakmill.registry import instances
from oakmill.registry.tables import Dataset, Instance, InstanceFile, Role
from oakmill.web.page_context import Known, PageContext, Reading
from oakmill.web.pages.conversions import Row, rows_of
from oakmill.web.pages.on_camera import command
from oakmill.web.routing import Id, page_router
from oakmill.web.views import documents, edits, remedies, snippets
from oakmill.web.views import job as job_view

pages = page_router()

LINES = 500
"""Lines of the log that come with the page; those before are fetched when they are wanted."""
STATES = {
    JobStatus.WAITING: "Waiting for its images",
    JobStatus.QUEUED: "Pending",
    JobStatus.RUNNING: "Running",
    JobStatus.SUCCEEDED: "Success",
    JobStatus.FAILED: "Failed",
    JobStatus.CANCELLED: "Cancelled",
}


@pages.get("/jobs")
def old_list() -> RedirectResponse:
    """The list has an address of its own."""
    return RedirectResponse("/conversions", 303)


@pages.get("/jobs/{job_id}")
def job_page(job_id: Id, context: Known, session: Reading) -> Response:
    """One job, with the end of its log."""
    job = visibility.job(session, context.caller, job_id)
    lines = job_log.tail(session, job_id, LINES)
    count = session.scalar(select(func.count()).select_from(LogLine).where(LogLine.job_id == job_id)) or 0
    last = lines[-1].number if lines else 0
    return context.page("job/page.html", lines=lines, count=count, last=last, **state_of(context, session, job))


@pages.get("/jobs/{job_id}/state")
def job_state(job_id: Id, context: Known, session: Reading) -> Response:
    """All of the page but the log, for one that is open while the job goes on."""
    job = visibility.job(session, context.caller, job_id)
    return context.part("job/state.html", **state_of(context, session, job))


def state_of(context: PageContext, session: Session, job: Job) -> dict[str, Any]:
    """What the page shows of where the job stands."""
    row = rows_of(session, [job])[0]
    source = session.get(Instance, job.source_id) if job.source_id else None
    result = session.get(Instance, job.result_id) if job.result_id else None
    result = result if result and result.trash_id is None else None
    files = instances.files_of(session, result) if result else []
    sets = datasets_of(session, job.files.values())
    return {
        "job": job,
        "row": row,
        "state": STATES[JobStatus(job.status)],
        "is_live": job.status in LIVE,
        "source": source,
        "result": result,
        "stages": job_view.stages_of(job),
        "asked": job_view.parameters(job, sets),
        "command": job_view.command_of_job(job, source, sets),
        "failure": job_view.failure_of(job, source),
        "steps": job_view.steps_of(job, source),
        "asks_colours": remedies.asks_colours(job, source),
        "installs": edits.installs if context.caller.may_for_whole_team("admin") else None,
        "file": job_view.file_of(files, Role.MODEL),
        "has_face": job_view.file_of(files, Role.FACE) is not None,
        "has_bundle": job_view.file_of(files, DEBUG_BUNDLE) is not None,
        "may_change": context.caller.may("convert"),
        **_served(context, session, job),
        **_made(context, job, row, result, files),
        **_relatives(session, job),
    }


def _served(context: PageContext, session: Session, job: Job) -> dict[str, Any]:
    """Whether a job that waits has nobody who takes it; of one that wants a camera, in a sentence, and what helps."""
    on_camera = job.kind in ON_CAMERA
    waits = job.status == JobStatus.QUEUED and not on_camera
    return {
        "on_camera": on_camera,
        "unserved": waits and not roster.ready(session),
        "no_camera": agents.waiting_for(session, job),
        "agent_command": command(context),
    }


def datasets_of(session: Session, names: Iterable[str | None]) -> dict[str, str]:
    """The slugs of calibration sets by what stands for them in a spec: their identifiers."""
    ids = {name.removeprefix("dataset:") for name in names if name}
    rows = session.execute(select(Dataset.id, Dataset.slug).where(Dataset.id.in_(ids))) if ids else ()
    return {row[0]: row[1] for row in rows}


def _made(
    context: PageContext, job: Job, row: Row, result: Instance | None, files: list[InstanceFile]
) -> dict[str, Any]:
    """What a job that succeeded has to show."""
    passport = documents.passport_in((job.result or {}).get("passport") or {})
    file = job_view.file_of(files, Role.MODEL)
    told = {"passport": passport, "headlines": passport_page.headlines(passport) if passport else []}
    if job.status != JobStatus.SUCCEEDED or result is None or file is None or row.model is None:
        return {**told, "snippet": None}
    return {**told, "snippet": snippets.of(context, model=row.model, instance=result, file=file.name)}


def _relatives(session: Session, job: Job) -> dict[str, Any]:
    """The jobs that it has to do with: which it tries again, which answered it, and which tried it again."""
    named = {name: value for name in ("retry_of", "answered_by") if (value := getattr(job, name))}
    found = {name: session.get(Job, value) for name, value in named.items()}
    retries = list(session.scalars(select(Job).where(Job.retry_of == job.id).order_by(Job.number.desc()).limit(5)))
    return {"earlier": found.get("retry_of"), "answered": found.get("answered_by"), "retries": retries}
