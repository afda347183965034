"""Logins of the command line wait for approval."""

from __future__ import annotations

import sqlalchemy as sa

from oakmill.storage.migrations.building import index, make, text, when

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """A table."""
    make(
        "logins",
        *text(64, "id"),
        *text(16, "user_code"),
        *text(255, "client"),
        *text(64, "address"),
        *when("until"),
        *text(16, "state"),
        *text(64, "key_id", null=True),
        *text(16, "scope", null=True),
        *when("asked", null=True),
        sa.PrimaryKeyConstraint("id"),
    )
    index("logins", "user_code")
