"""What people do with a job: cancel it, move it in the queue, try it again, as it was or as a remedy says."""

from __future__ import annotations

from fastapi.responses import Response

from oakmill.conversion.failures import apply
from oakmill.errors import SpecError
from oakmill.hub import jobs, visibility
from oakmill.jobs import submit
from oakmill.jobs.kinds import ON_CAMERA
from oakmill.jobs.tables import Job
from oakmill.spec import ConversionSpec
from oakmill.web.forms.submitted import Form
from oakmill.web.page_context import Changing, Writing
from oakmill.web.routing import Id, page_router
from oakmill.web.views import remedies

pages = page_router()

HIGHEST = 100


@pages.post("/jobs/{job_id}/cancel")
def cancel(job_id: Id, context: Changing, session: Writing) -> Response:
    """Cancel: at once where no worker has it, else the worker hears of it."""
    jobs.cancel(session, context.caller, job_id)
    return context.go(f"/jobs/{job_id}")


@pages.post("/jobs/{job_id}/priority")
def prioritise(job_id: Id, context: Changing, session: Writing, form: Form) -> Response:
    """Move a job that waits before or behind others."""
    jobs.prioritise(session, context.caller, job_id, _number(form.get("priority")))
    return context.go(f"/jobs/{job_id}")


@pages.post("/jobs/{job_id}/retry")
def retry(job_id: Id, context: Changing, session: Writing, form: Form) -> Response:
    """Ask for an ended job again: as it was, or with the edit of the remedy that the form numbers."""
    row = visibility.changeable_job(session, context.caller, job_id)
    spec = None if row.kind in ON_CAMERA else edited(row, form.get("remedy"))
    job = jobs.retry(session, context.caller, context.at, row, spec)
    return context.go(f"/jobs/{job.id}")


@pages.post("/jobs/{job_id}/anew")
def anew(job_id: Id, context: Changing, session: Writing) -> Response:
    """Convert as then, with nothing out of the cache, and compare the bytes."""
    row = visibility.changeable_job(session, context.caller, job_id)
    return context.go(f"/jobs/{jobs.retry(session, context.caller, context.at, row, anew=True).id}")


def edited(job: Job, remedy: str) -> ConversionSpec:
    """A job's spec, with the edit of one of its remedies where one is numbered.

    Raises:
        SpecError: there is no such remedy, or its edit does not fit.
    """
    spec = submit.spec_of(job)
    return apply(remedies.numbered(job, remedy).edit, spec) if remedy else spec


def _number(text: str) -> int:
    try:
        found = int(text)
    except ValueError:
        found = HIGHEST + 1
    if abs(found) > HIGHEST:
        raise SpecError(
            f"A priority is a number from -{HIGHEST} to {HIGHEST}.", subject="priority", remedy="0 is usual."
        )
    return found
