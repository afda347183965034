"""The jobs' tables: a job's row is its place in the queue, its lease and its history; its log is a table of lines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from oakmill.jobs.states import LIVE as LIVE
from oakmill.jobs.states import DeliveryStatus as DeliveryStatus
from oakmill.jobs.states import JobStatus as JobStatus
from oakmill.registry.tables import Id, Name, Sha256
from oakmill.storage.database import Base, UtcDateTime, now

_LIVE_SQL = text("status in ('waiting', 'queued', 'running')")


class Job(Base):
    """A conversion in the queue, or a file's run on a camera, of which the file is the source and there is no result.

    `key` is the sha256 over all that decides the result; of live jobs with a key there is one in a team. `lease_token`
    fences: only its holder writes. `progress` is {"stage", "text", "done", "total"}; `stages` is
    [{"name", "status", "seconds"}]; `failure` is what `oakmill.conversion.failures` explains.
    """

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, index=True)
    kind: Mapped[str] = mapped_column(String(16), default="convert")
    name: Mapped[str] = mapped_column(Name)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    key_id: Mapped[str | None] = mapped_column(Id)
    key: Mapped[str | None] = mapped_column(Sha256)
    model_id: Mapped[str | None] = mapped_column(Id, index=True)
    source_id: Mapped[str | None] = mapped_column(ForeignKey("instances.id", ondelete="CASCADE"), index=True)
    result_id: Mapped[str | None] = mapped_column(Id, index=True)
    platform: Mapped[str | None] = mapped_column(String(8))
    spec: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    files: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    status: Mapped[str] = mapped_column(String(16), default=JobStatus.QUEUED)
    priority: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=2)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    lease_owner: Mapped[str | None] = mapped_column(Name)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    memory_mb: Mapped[int] = mapped_column(default=0)
    deadline_seconds: Mapped[int | None] = mapped_column()
    limits: Mapped[dict[str, int]] = mapped_column(JSON, default=dict)
    progress: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    stages: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    queued: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    started: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(Text)
    failure: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    retry_of: Mapped[str | None] = mapped_column(Id)
    answered_by: Mapped[str | None] = mapped_column(Id)
    __table_args__ = (
        Index(
            "one_live_job_per_key", "team_id", "key", unique=True, sqlite_where=_LIVE_SQL, postgresql_where=_LIVE_SQL
        ),
        Index("jobs_to_claim", "status", "priority", "number"),
        Index("jobs_by_team", "team_id", "number"),
    )


class WorkerRow(Base):
    """A worker that was heard of: where it is, since when, its job. One that is `paused` takes no further job."""

    __tablename__ = "workers"
    name: Mapped[str] = mapped_column(Name, primary_key=True)
    machine: Mapped[str] = mapped_column(Name)
    pid: Mapped[int] = mapped_column()
    version: Mapped[str] = mapped_column(String(32))
    memory_mb: Mapped[int] = mapped_column()
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    beat: Mapped[datetime] = mapped_column(UtcDateTime)
    job_id: Mapped[str | None] = mapped_column(Id)
    paused: Mapped[bool] = mapped_column(default=False)


class AgentRow(Base):
    """An agent that was heard of: the cameras at its machine, its job; of the team of the key that it asks with.

    `cameras` are [{"identifier", "name", "platform", "product", "firmware", "state", "problem"}].
    """

    __tablename__ = "agents"
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(Name, primary_key=True)
    key_id: Mapped[str | None] = mapped_column(Id)
    machine: Mapped[str] = mapped_column(Name)
    version: Mapped[str] = mapped_column(String(32))
    cameras: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    beat: Mapped[datetime] = mapped_column(UtcDateTime)
    job_id: Mapped[str | None] = mapped_column(Id)


class Webhook(Base):
    """An address that a team's events are told to. `old_secret` signs too until `old_until`."""

    __tablename__ = "webhooks"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), index=True)
    url: Mapped[str] = mapped_column(String(2000))
    events: Mapped[list[str]] = mapped_column(JSON)
    secret: Mapped[str] = mapped_column(Name)
    old_secret: Mapped[str | None] = mapped_column(Name)
    old_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Delivery(Base):
    """A message to a webhook. Whoever sends it holds it by `token` until `due`, when it is anybody's again.

    `code`, `error`, `answer` and `seconds` are of the last try, which was `sent` then; `attempt` counts them.
    """

    __tablename__ = "deliveries"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(32))
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), default=DeliveryStatus.PENDING)
    attempt: Mapped[int] = mapped_column(default=0)
    token: Mapped[str | None] = mapped_column(String(32))
    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    due: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    sent: Mapped[datetime | None] = mapped_column(UtcDateTime)
    code: Mapped[int | None] = mapped_column()
    error: Mapped[str] = mapped_column(Text, default="")
    answer: Mapped[str] = mapped_column(Text, default="")
    seconds: Mapped[float | None] = mapped_column()
    __table_args__ = (
        Index("deliveries_to_send", "status", "due"),
        Index("deliveries_of_webhook", "webhook_id", "created"),
    )


class LogLine(Base):
    """A line of a job's log; `number` counts from 1 within the job, and is what a reader resumes from."""

    __tablename__ = "log_lines"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    attempt: Mapped[int] = mapped_column(default=0)
    stage: Mapped[str] = mapped_column(String(16), default="")
    kind: Mapped[str] = mapped_column(String(16), default="log")
    text: Mapped[str] = mapped_column(Text)
