"""The workers: where each runs, what it is at, since when; and that it take no further job."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.jobs import agents, roster
from oakmill.jobs.tables import AgentRow, Job
from oakmill.registry import audit
from oakmill.web.page_context import PageContext, Reading, Ruling, Writing
from oakmill.web.pages.on_camera import command
from oakmill.web.routing import page_router

pages = page_router()

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,255}$")]


@pages.get("/workers")
def workers_page(context: Ruling, session: Reading) -> Response:
    """All that were heard of in the last hour, on whatever machine; of jobs, those of the caller's team by name."""
    rows = roster.listed(session)
    at_work = [row.job_id for row in rows if row.job_id]
    jobs = {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(at_work)))} if at_work else {}
    mine = {job.id for job in jobs.values() if context.caller.everywhere or job.team_id == context.caller.team_id}
    silent = {row.name for row in rows if roster.is_silent(session, row)}
    told: dict[str, Any] = {"agents": _agents(context, session), "agent_command": command(context)}
    ready = roster.ready(session)
    return context.page("workers.html", rows=rows, jobs=jobs, mine=mine, silent=silent, ready=ready, **told)


def _agents(context: PageContext, session: Session) -> list[tuple[AgentRow, Job | None, bool]]:
    """The team's agents, the job that each runs, and whether it is silent."""
    rows = agents.listed(session, None if context.caller.everywhere else context.caller.team_id)
    jobs = {job.id: job for job in session.scalars(select(Job).where(Job.id.in_([row.job_id for row in rows])))}
    return [(row, jobs.get(str(row.job_id)), agents.is_silent(session, row)) for row in rows]


@pages.post("/workers/{name}/pause")
def pause(name: Name, context: Ruling, session: Writing) -> Response:
    """Let it end its job, and take no other."""
    return _set(context, session, name, paused=True)


@pages.post("/workers/{name}/resume")
def resume(name: Name, context: Ruling, session: Writing) -> Response:
    """Let it take jobs again."""
    return _set(context, session, name, paused=False)


def _set(context: PageContext, session: Session, name: str, *, paused: bool) -> Response:
    roster.pause(session, name, paused=paused)
    audit.record(session, context.caller, "worker.pause" if paused else "worker.resume", name)
    return context.go("/workers")
