"""A key may have limits of its own; those of before have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Two columns."""
    op.add_column("keys", sa.Column("requests_per_minute", sa.Integer(), nullable=True))
    op.add_column("keys", sa.Column("most_running", sa.Integer(), nullable=True))
