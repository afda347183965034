"""An instance on a camera: how it is run there, what cameras have measured of it, and asking for it."""

from __future__ import annotations

from typing import Any

from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.errors import SpecError
from oakmill.hub import files, measurements, visibility
from oakmill.jobs import agents, on_camera
from oakmill.jobs.kinds import CAMERAS, ON_CAMERA
from oakmill.jobs.on_camera import Measurement
from oakmill.jobs.tables import Job
from oakmill.registry import datasets
from oakmill.registry.tables import Dataset, Instance, Role
from oakmill.web.forms.submitted import Form
from oakmill.web.page_context import Changing, PageContext, Writing
from oakmill.web.routing import Id, page_router
from oakmill.web.views.job import file_of
from oakmill.web.views.measured import WAYS, Way

pages = page_router()

HISTORY = 10


@pages.post("/instances/{instance_id}/measure")
def measure(instance_id: Id, context: Changing, session: Writing, form: Form) -> Response:
    """Ask for a proof or a benchmark on a camera, and go to its job."""
    kind = form.get("kind")
    if kind not in WAYS:
        raise SpecError(f"{kind[:20]!r} is nothing that a camera measures.", remedy=f"Choose among {', '.join(WAYS)}.")
    images = form.get("images") or None
    job = measurements.ask(session, context.caller, instance_id, kind, Measurement(), images=images)
    return context.go(f"/jobs/{job.id}")


def shown(context: PageContext, session: Session, row: Instance) -> dict[str, Any]:
    """What the tab has beside the programs that run the file."""
    page = file_of(row.files, Role.MEASURED_PAGE)
    found: dict[str, Any] = {"ways": (), "history": (), "agent_command": command(context), "measured_page": page}
    if row.model_type.lower() not in CAMERAS or not context.caller.may_change(row.team_id):
        return found
    cameras = agents.ready(session, row.team_id, row.model_type)
    ways = [Way(kind, *WAYS[kind], on_camera.why_not(session, row, kind)) for kind in WAYS]
    sets: list[Dataset] = [] if context.caller.model_id else datasets.listed(session, context.caller)
    return {**found, "ways": ways, "cameras": cameras, "history": _history(context, session, row), "sets": sets}


def command(context: PageContext) -> str:
    """What somebody with a camera runs."""
    return f"oakmill agent --hub {files.base_url(context.at, context.request)}"


def _history(context: PageContext, session: Session, row: Instance) -> list[Job]:
    """The latest jobs that measured it, or are to."""
    wanted = (Job.source_id == row.id, Job.kind.in_(ON_CAMERA), visibility.jobs(context.caller))
    return list(session.scalars(select(Job).where(*wanted).order_by(Job.number.desc()).limit(HISTORY)))
