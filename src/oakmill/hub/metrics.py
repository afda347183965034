"""What monitoring asks of a hub, in Prometheus' format: read from the database when it is asked, so that any process
of the hub says the same; and what this process has answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from oakmill import __version__
from oakmill.hub.observing import Traffic
from oakmill.jobs import agents, fair, roster
from oakmill.jobs.kinds import ON_CAMERA
from oakmill.jobs.states import LIVE
from oakmill.jobs.tables import Delivery, Job, JobStatus
from oakmill.registry import teams
from oakmill.storage.database import moment

WINDOW = timedelta(hours=1)
"""What has ended is told of the last hour: rows of jobs are deleted in time, and a total would fall with them."""


def text_of(session: Session, traffic: Traffic) -> bytes:
    """All of it, as text of version 0.0.4."""
    registry = CollectorRegistry()
    registry.register(
        _Said([*_queue(session), *_ended(session), *_workers(session), *_teams(session), _told(session), _about()])
    )
    return generate_latest(registry) + generate_latest(traffic.registry)


class _Said(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """The metrics that were read."""
        return self._metrics


def _gauge(name: str, about: str, labels: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> Metric:
    """A value for each row, whose last item it is; the others are its labels."""
    found = GaugeMetricFamily(f"oakmill_{name}", about, labels=labels)
    for *names, value in rows:
        found.add_metric([str(item or "") for item in names], float(value))
    return found


def _about() -> Metric:
    return _gauge("info", "The hub's version.", ("version",), [(__version__, 1)])


def _queue(session: Session) -> Iterator[Metric]:
    live = select(Job.platform, Job.status, func.count()).where(Job.status.in_(LIVE), fair.of_workers())
    rows = session.execute(live.group_by(Job.platform, Job.status)).all()
    yield _gauge("jobs", "Conversions that have not ended.", ("platform", "status"), [tuple(row) for row in rows])
    queued = select(Job.platform, func.min(Job.queued)).where(Job.status == JobStatus.QUEUED, fair.of_workers())
    queued = queued.group_by(Job.platform)
    present = moment(session)
    ages = [(platform, max(0.0, (present - since).total_seconds())) for platform, since in session.execute(queued)]
    yield _gauge("queue_oldest_seconds", "Age of the oldest job that waits for a worker.", ("platform",), ages)
    wanting = select(Job.platform, Job.status, func.count()).where(Job.status.in_(LIVE), Job.kind.in_(ON_CAMERA))
    cameras = [tuple(row) for row in session.execute(wanting.group_by(Job.platform, Job.status))]
    yield _gauge("camera_jobs", "What cameras are to measure, and have not yet.", ("platform", "status"), cameras)


def _ended(session: Session) -> Iterator[Metric]:
    recent = Job.finished >= moment(session) - WINDOW
    counted = select(Job.platform, Job.status, func.count()).where(recent).group_by(Job.platform, Job.status)
    rows = [tuple(row) for row in session.execute(counted)]
    yield _gauge("jobs_ended_last_hour", "Jobs that ended in the last hour.", ("platform", "status"), rows)
    answered = select(Job.platform, func.count()).where(recent, Job.answered_by.is_not(None)).group_by(Job.platform)
    hits = [tuple(row) for row in session.execute(answered)]
    yield _gauge("cache_hits_last_hour", "Jobs of the last hour that an earlier one answered.", ("platform",), hits)
    failures: dict[tuple[str, str], int] = {}
    stages: dict[tuple[str, str], list[float]] = {}
    for platform, status, failure, done in session.execute(
        select(Job.platform, Job.status, Job.failure, Job.stages).where(recent)
    ):
        if status == JobStatus.FAILED:
            key = (str(platform), str((failure or {}).get("code") or "unknown"))
            failures[key] = failures.get(key, 0) + 1
        for stage in done:
            if stage.get("seconds") is not None:
                stages.setdefault((str(platform), stage["name"]), []).append(stage["seconds"])
    told = [(*key, count) for key, count in failures.items()]
    yield _gauge("failures_last_hour", "Jobs that failed in the last hour, by error.", ("platform", "error"), told)
    times = SummaryMetricFamily("oakmill_stage_seconds_last_hour", "Time of stages.", labels=("platform", "stage"))
    for names, seconds in stages.items():
        times.add_metric(list(names), len(seconds), sum(seconds))
    yield times


def _workers(session: Session) -> Iterator[Metric]:
    present, rows = moment(session), roster.listed(session)
    heard = [(row.name, max(0.0, (present - row.beat).total_seconds())) for row in rows]
    yield _gauge("worker_silent_seconds", "Time since a worker was heard of.", ("worker",), heard)
    busy = [(row.name, row.job_id is not None) for row in rows]
    yield _gauge("worker_busy", "Whether a worker runs a job.", ("worker",), busy)
    yield _gauge("workers_ready", "Workers that live and take jobs.", (), [(roster.ready(session),)])
    alive = sum(not agents.is_silent(session, row) for row in agents.listed(session, None))
    yield _gauge("agents_ready", "Agents with cameras that live.", (), [(alive,)])


def _told(session: Session) -> Metric:
    counted = session.execute(select(Delivery.status, func.count()).group_by(Delivery.status))
    return _gauge("webhook_messages", "Messages to webhooks.", ("status",), [tuple(row) for row in counted])


def _teams(session: Session) -> Iterator[Metric]:
    rows = [(team, teams.used_bytes(session, team.id)) for team in teams.listed(session)]
    stored = [(team.slug, used) for team, used in rows]
    yield _gauge("team_bytes", "What a team stores, in bytes.", ("team",), stored)
    bounds = [(team.slug, team.quota_bytes) for team, _ in rows if team.quota_bytes is not None]
    yield _gauge("team_quota_bytes", "What a team may store, in bytes.", ("team",), bounds)
