"""A source may say where it was fetched from; of those of before it is not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """A column."""
    op.add_column("instances", sa.Column("imported", sa.JSON(), nullable=True))
