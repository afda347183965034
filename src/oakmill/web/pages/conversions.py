"""The list of conversions: all jobs that one sees, and where each stands; every filter is in the address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Query
from fastapi.responses import Response
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, joinedload

from oakmill.hub import job_list, visibility
from oakmill.jobs.estimates import Estimate, Estimates
from oakmill.jobs.tables import LIVE, Job, JobStatus
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Instance, Key, Model
from oakmill.spec.platforms import titles
from oakmill.storage.database import now
from oakmill.web.page_context import Known, Reading
from oakmill.web.routing import page_router
from oakmill.web.views.addresses import address

pages = page_router()

ON_PAGE = 30
MOST_MODELS = 200
Word = Annotated[str, Query(max_length=255)]
Tab = Literal["", "live", "succeeded", "failed", "cancelled"]
TABS: Mapping[str, str] = {
    "": "All",
    "live": "Under way",
    "succeeded": "Succeeded",
    "failed": "Failed conversions",
    "cancelled": "Cancelled",
}


@dataclass(frozen=True)
class Row:
    """A job of the list, with what its own row does not say."""

    job: Job
    who: str
    model: Model | None
    verdict: str | None
    estimate: Estimate | None

    @property
    def seconds(self) -> float | None:
        """How long it ran, or runs; None where it did not begin."""
        return seconds_of(self.job)


def seconds_of(job: Job) -> float | None:
    """How long a job ran, or runs; None where it did not begin."""
    if job.started is None or job.status in (JobStatus.QUEUED, JobStatus.WAITING):
        return None
    return max(0.0, ((job.finished or now()) - job.started).total_seconds())


@pages.get("/conversions")
def conversions(
    context: Known,
    session: Reading,
    status: Tab = "",
    platform: Word = "",
    model: Word = "",
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Response:
    """A page of jobs, the latest first; those under way are looked at again and again."""
    asked = {"status": status, "platform": platform, "model": model}
    wanted = job_list.conditions(context.caller, platform=platform.lower() or None, model_id=model or None)
    here = [*wanted, *_in(status)]
    found, last = job_list.page(session, here, ON_PAGE, before)
    values: dict[str, Any] = {
        "rows": rows_of(session, found),
        "asked": asked,
        "counts": _counts(session, wanted),
        "is_filtered": bool(platform or model),
        "here": address("/conversions", asked, before=before),
        "next_page": address("/conversions", asked, before=last) if last else None,
        "total": session.scalar(select(func.count()).select_from(Job).where(*here)) or 0,
    }
    if context.is_htmx:
        return context.part("conversions_rows.html", **values)
    values |= {"tabs": TABS, "platforms": titles(), "models": _models(session, context.caller)}
    values["rules"] = context.caller.may_for_whole_team("admin")
    values["addresses"] = {tab: address("/conversions", {**asked, "status": tab}) for tab in TABS}
    return context.page("conversions.html", **values)


def rows_of(session: Session, jobs: Sequence[Job]) -> list[Row]:
    """The jobs with the names of their keys and models, their results' verdicts, and what is expected of them."""
    who: dict[Any, Any] = dict(_pairs(session, Key.id, Key.name, {job.key_id for job in jobs}))
    verdicts: dict[Any, Any] = dict(_pairs(session, Instance.id, Instance.verdict, {job.result_id for job in jobs}))
    query = select(Model).where(Model.id.in_({job.model_id for job in jobs})).options(joinedload(Model.team))
    query = query.execution_options(populate_existing=True)
    models = {row.id: row for row in session.scalars(query)}
    expected = Estimates(session)
    return [
        Row(
            job,
            who.get(job.key_id, "the operator" if job.key_id is None else "a key that is gone"),
            models.get(str(job.model_id)),
            verdicts.get(job.result_id),
            expected.of(job) if job.status in LIVE else None,
        )
        for job in jobs
    ]


def _pairs(session: Session, key: Any, value: Any, wanted: Iterable[str | None]) -> Iterable[Any]:
    known = [name for name in wanted if name]
    return [tuple(row) for row in session.execute(select(key, value).where(key.in_(known)))] if known else []


def _in(status: str) -> list[ColumnElement[bool]]:
    return [Job.status.in_(LIVE) if status == "live" else Job.status == status] if status else []


def _counts(session: Session, wanted: Sequence[ColumnElement[bool]]) -> dict[str, int]:
    """How many jobs each tab has."""
    rows = session.execute(select(Job.status, func.count()).where(*wanted).group_by(Job.status))
    by_status = {str(status): count for status, count in rows.all()}
    live = sum(by_status.get(status, 0) for status in LIVE)
    return {"queued": 0, **by_status, "": sum(by_status.values()), "live": live}


def _models(session: Session, caller: Caller) -> list[tuple[str, str]]:
    """The models that have jobs, by name."""
    with_jobs = select(Job.model_id).where(visibility.jobs(caller)).distinct()
    query = select(Model.id, Model.name).where(or_(Model.id.in_(with_jobs))).order_by(Model.name).limit(MOST_MODELS)
    return [(row.id, row.name) for row in session.execute(query)]
