"""Jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.migrations.building import big, flag, index, json, long_text, make, refer, text, when, whole

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Jobs."""
    _jobs()
    _log_lines()


def _jobs() -> None:
    make(
        "jobs",
        *text(64, "id"),
        *big("number"),
        *text(16, "kind"),
        *text(255, "name"),
        *text(64, "team_id"),
        *text(64, "key_id", "key", "model_id", "source_id", "result_id", null=True),
        *text(8, "platform", null=True),
        *json("spec", "files"),
        *text(16, "status"),
        *whole("priority", "attempt", "max_attempts"),
        *flag("cancel_requested"),
        *text(255, "lease_owner", null=True),
        *text(32, "lease_token", null=True),
        *when("lease_until", null=True),
        *whole("memory_mb"),
        *whole("deadline_seconds", null=True),
        *json("limits", "progress", "stages"),
        *when("queued"),
        *when("started", "finished", null=True),
        *long_text("error", null=True),
        *json("failure", "result", null=True),
        *text(64, "retry_of", "answered_by", null=True),
        refer("source_id", "instances"),
        refer("team_id", "teams"),
        sa.PrimaryKeyConstraint("id"),
    )
    index("jobs", "model_id")
    index("jobs", "number")
    index("jobs", "result_id")
    index("jobs", "source_id")
    op.create_index("jobs_by_team", "jobs", ["team_id", "number"])
    op.create_index("jobs_to_claim", "jobs", ["status", "priority", "number"])
    op.create_index(
        "one_live_job_per_key",
        "jobs",
        ["team_id", "key"],
        unique=True,
        sqlite_where=sa.text("status in ('waiting', 'queued', 'running')"),
        postgresql_where=sa.text("status in ('waiting', 'queued', 'running')"),
    )


def _log_lines() -> None:
    make(
        "log_lines",
        *text(64, "job_id"),
        *whole("number"),
        *when("at"),
        *whole("attempt"),
        *text(16, "stage", "kind"),
        *long_text("text"),
        refer("job_id", "jobs"),
        sa.PrimaryKeyConstraint("job_id", "number"),
    )
