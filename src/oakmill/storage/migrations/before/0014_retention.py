"""Teams keep their results by a rule, for which a result knows when it was used; none has one at first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.database import UtcDateTime

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Three columns."""
    op.add_column("teams", sa.Column("keep_results", sa.Integer(), nullable=True))
    op.add_column("teams", sa.Column("keep_days", sa.Integer(), nullable=True))
    op.add_column("instances", sa.Column("used", UtcDateTime(), nullable=True))
