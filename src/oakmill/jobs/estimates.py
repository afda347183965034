"""Says how long a job will take: its place in the queue, and the time that is left by what past jobs took."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from oakmill.jobs import fair, stage_times
from oakmill.jobs.kinds import CONVERT, ON_CAMERA, PROVE
from oakmill.jobs.stage_times import Past, Usual
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.tables import Instance
from oakmill.spec.platforms import PLATFORMS
from oakmill.storage.database import now

_Kind = tuple[str, str | None, str | None, str | None]
"""What kind of job, source, platform and number format."""

_PAST = 20
_MOST = 200
"""Waiting jobs whose time is added up; of more, the sum says little."""


@dataclass(frozen=True)
class Estimate:
    """What is expected of a job. `position` counts from 1 among those that wait; it is None for others.

    `wait` and `run` are seconds until it begins, and then to its end; None where nothing is known of such jobs yet.
    `fraction` is how much of a running job is done, by its stages and what they count.
    """

    position: int | None = None
    wait: float | None = None
    run: float | None = None
    fraction: float | None = None

    @property
    def left(self) -> float | None:
        """Seconds to the end of the job."""
        return None if self.run is None or self.wait is None else self.wait + self.run


def position(session: Session, job: Job) -> int | None:
    """Its place among the jobs that wait for a worker, from 1; None when it does not."""
    if job.status != JobStatus.QUEUED:
        return None
    higher = session.scalar(select(func.count()).select_from(Job).where(_higher(job))) or 0
    return 1 + higher + sum(fair.before(session, job).values())


def estimate(session: Session, job: Job) -> Estimate:
    """What is expected of a job that has not ended."""
    return Estimates(session).of(job)


class Estimates:
    """What is expected of several jobs: what past ones took is looked up once for each kind of job."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._usual: dict[_Kind, Usual | None] = {}

    def of(self, job: Job) -> Estimate:
        """What is expected of one that has not ended."""
        expected = self._expected(job)
        if job.status == JobStatus.RUNNING and job.started:
            spent = (now() - job.started).total_seconds()
            here = stage_times.place(job.stages, job.progress, spent, expected or _at_first(job))
            return Estimate(wait=0.0, run=here.left, fraction=here.share)
        place = position(self._session, job)
        return Estimate(place, self._wait(job) if place else None, expected.total if expected else None)

    def _wait(self, job: Job) -> float | None:
        """The work of all jobs before it, shared by as many workers as are at work now."""
        total = 0.0
        running = [other for other in self._running if _waits_with(job, other)]
        for other in (*running, *_before(self._session, job)):
            usual = self._expected(other)
            if usual is None:
                return None
            runs_since = other.started if other.status == JobStatus.RUNNING else None
            spent = (now() - runs_since).total_seconds() if runs_since else 0.0
            total += max(0.0, max(usual.total, 0.01) - spent)
        return total / max(1, len(running))

    @cached_property
    def _running(self) -> list[Job]:
        return list(self._session.scalars(select(Job).where(Job.status == JobStatus.RUNNING)))

    def _expected(self, job: Job) -> Usual | None:
        """What jobs of the same source for the same platform took, else those of others, by their models' sizes."""
        kind = (kind_of(job), job.source_id, job.platform, job.spec.get("target_precision"))
        if kind not in self._usual:
            same, others = Job.source_id == job.source_id, Job.source_id.is_not(None)
            self._usual[kind] = _of(self._session, job, same) or _of(self._session, job, others)
        return self._usual[kind]


def kind_of(job: Job) -> str:
    """What jobs are alike: one that is made anew takes what the first did."""
    return job.kind if job.kind in ON_CAMERA else CONVERT


def _alike(job: Job) -> ColumnElement[bool]:
    return Job.kind == job.kind if job.kind in ON_CAMERA else fair.of_workers()


def _waits_with(job: Job, other: Job) -> bool:
    """Whether another job takes what a job waits for: a worker, or a camera of its platform."""
    if (job.kind in ON_CAMERA) != (other.kind in ON_CAMERA):
        return False
    return job.kind not in ON_CAMERA or job.platform == other.platform


def _at_first(job: Job) -> Usual:
    if job.kind in ON_CAMERA:
        return stage_times.on_camera(proves=job.kind == PROVE)
    precision = str(job.spec.get("target_precision", "INT8"))
    return stage_times.at_first(calibrates=PLATFORMS[str(job.platform)].quantizes and not precision.startswith("FP"))


def _higher(job: Job) -> ColumnElement[bool]:
    return and_(Job.status == JobStatus.QUEUED, Job.priority > job.priority, fair.beside(job))


def _before(session: Session, job: Job) -> list[Job]:
    """Jobs that begin before it, no more than `_MOST` of them."""
    found = list(session.scalars(select(Job).where(_higher(job)).limit(_MOST)))
    for team_id, count in fair.before(session, job).items():
        same = and_(Job.status == JobStatus.QUEUED, Job.priority == job.priority, Job.team_id == team_id)
        wanted = select(Job).where(same, fair.beside(job)).order_by(Job.number)
        found += session.scalars(wanted.limit(min(count, _MOST - len(found))))
    return found


def _of(session: Session, job: Job, narrower: ColumnElement[bool]) -> Usual | None:
    done = (Job.status == JobStatus.SUCCEEDED, Job.answered_by.is_(None), Job.platform == job.platform, narrower)
    columns = (Job.stages, Job.started, Job.finished, Job.spec, Instance.size)
    query = select(*columns).join(Instance, Instance.id == Job.source_id, isouter=True).where(*done, _alike(job))
    rows = [row for row in session.execute(query.order_by(Job.number.desc()).limit(_PAST)) if row[1] and row[2]]
    alike = [row for row in rows if row[3].get("target_precision") == job.spec.get("target_precision")]
    past = [Past(stages, (ended - began).total_seconds(), size) for stages, began, ended, _, size in alike or rows]
    size = session.scalar(select(Instance.size).where(Instance.id == job.source_id)) if past else None
    return stage_times.usual(past, size)
