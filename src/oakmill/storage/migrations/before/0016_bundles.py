"""An instance knows the bundle that it came in; those of before came in none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """A column."""
    op.add_column("instances", sa.Column("from_bundle", sa.JSON(), nullable=True))
