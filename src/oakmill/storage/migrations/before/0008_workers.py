"""Workers are known, on whatever machine they run."""

from __future__ import annotations

import sqlalchemy as sa

from oakmill.storage.migrations.building import flag, make, text, when, whole

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """A table."""
    make(
        "workers",
        *text(255, "name", "machine"),
        *text(32, "version"),
        *text(64, "job_id", null=True),
        *whole("pid", "memory_mb"),
        *when("since", "beat"),
        *flag("paused"),
        sa.PrimaryKeyConstraint("name"),
    )
