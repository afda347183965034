"""What is deleted goes to the trash first; rows of before are in use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.migrations.building import index, make, refer, text, when

revision = "0013"
down_revision = "0012"

KEPT = ("models", "variants", "versions", "instances", "datasets")


def upgrade() -> None:
    """A table, and a column in each of five."""
    references = {f"{table[:-1]}_id": table for table in KEPT}
    make(
        "trash",
        *text(64, "id", "team_id"),
        *text(16, "kind", "visibility"),
        *text(64, *references, "owner_id", "key_id", null=True),
        *text(255, "name", "slug", "who", "why"),
        *when("at"),
        refer("team_id", "teams"),
        *(refer(column, table) for column, table in references.items()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("trash_of_team", "trash", ["team_id", "at"])
    for column, table in references.items():
        index("trash", column)
        op.add_column(table, sa.Column("trash_id", sa.String(64), nullable=True))
        index(table, "trash_id")
