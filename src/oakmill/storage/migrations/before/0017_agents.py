"""Agents are known, with the cameras at their machines."""

from __future__ import annotations

import sqlalchemy as sa

from oakmill.storage.migrations.building import json, make, refer, text, when

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """A table."""
    make(
        "agents",
        *text(64, "team_id"),
        *text(255, "name", "machine"),
        *text(64, "key_id", "job_id", null=True),
        *text(32, "version"),
        *json("cameras"),
        *when("since", "beat"),
        refer("team_id", "teams"),
        sa.PrimaryKeyConstraint("team_id", "name"),
    )
