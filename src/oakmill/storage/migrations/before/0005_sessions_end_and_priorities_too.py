"""Sessions end when they are signed out of; a team's priorities have a bound, which for those of before is no bound."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.migrations.building import make, text, when

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """A table, and a column."""
    make("ended_sessions", *text(64, "id"), *when("until"), sa.PrimaryKeyConstraint("id"))
    bound = sa.Column("highest_priority", sa.Integer(), nullable=False, server_default="100")
    op.add_column("teams", bound)
