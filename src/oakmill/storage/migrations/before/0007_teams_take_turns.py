"""Teams take turns: when the last job of each began, and how many may run at once, which for those of before is any."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.database import UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Two columns."""
    op.add_column("teams", sa.Column("most_running", sa.Integer(), nullable=True))
    op.add_column("teams", sa.Column("served", UtcDateTime(), nullable=True))
