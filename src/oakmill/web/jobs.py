"""A conversion's page: where it stands, and its log as it is written."""

from __future__ import annotations

from fastapi.responses import Response

from oakmill.api import seeing
from oakmill.jobs import logbook
from oakmill.web.desk import Known, Reading
from oakmill.web.pages import Id, page_router

pages = page_router()


@pages.get("/jobs/{job_id}")
def job_page(job_id: Id, desk: Known, session: Reading) -> Response:
    """One job."""
    job = seeing.job(session, desk.caller, job_id)
    lines = logbook.tail(session, job_id, 500)
    return desk.page("job.html", job=job, lines=lines)
