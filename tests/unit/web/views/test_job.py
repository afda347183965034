"""A job's page in every state that a job can have."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from oakmill.jobs.estimates import Estimate
from oakmill.jobs.tables import LIVE, Job, JobStatus
from oakmill.storage.database import now
from oakmill.web.pages.conversions import Row
from oakmill.web.render import environment
from oakmill.web.views import job as job_view

ESTIMATES = (
    Estimate(wait=0.0, fraction=0.0),
    Estimate(1, 3.0, 4.0, 0.2),
    Estimate(wait=0.0, run=0.0, fraction=0.99),
    Estimate(2, fraction=0.5),
)
PROGRESS: tuple[dict[str, Any], ...] = (
    {},
    {"stage": "compile", "text": "x", "done": 1, "total": 0},
    {"stage": "compile", "done": 1, "total": 4},
)


@pytest.mark.parametrize("status", JobStatus)
def test_every_state_is_drawn(status: JobStatus) -> None:
    for estimate, progress in itertools.product(ESTIMATES, PROGRESS):
        job = Job(
            id="aij_1", number=1, name="job", status=status, platform="rvc4", spec={}, limits={}, progress=progress,
            stages=[{"name": "inspect", "status": "running", "seconds": 0.0}], queued=now(), started=now(), priority=0,
            attempt=2, max_attempts=2,
        )  # fmt: skip
        row = Row(job, "me", None, None, estimate if status in LIVE else None)
        known: dict[str, Any] = dict.fromkeys(
            ("source", "result", "file", "snippet", "earlier", "answered", "passport", "command"), None
        )
        text = environment().get_template("job/state.html").render(
            **known, job=job, row=row, state="", is_live=status in LIVE, may_change=True, asked=[], retries=[],
            stages=job_view.stages_of(job), headlines=[],
            failure=job_view.failure_of(job, None), steps=job_view.steps_of(job, None),
            asks_colours=False, installs=None, unserved=True, on_camera=False, no_camera="", agent_command="",
        )  # fmt: skip
        assert "job-facts" in text
