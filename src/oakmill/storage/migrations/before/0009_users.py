"""Who signs in at a provider is known; a key says whose it is and how it came, the audit log who acted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.migrations.building import index, make, refer_and_stay, text, when

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """A table, and columns."""
    make(
        "users",
        *text(64, "id"),
        *text(255, "issuer", "subject", "email", "name"),
        *text(64, "team_id", null=True),
        *when("seen"),
        *when("disabled", null=True),
        *when("created", "updated"),
        refer_and_stay("team_id", "teams"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("issuer", "subject", name="one_user_per_subject"),
    )
    index("users", "team_id")
    op.add_column("keys", sa.Column("user_id", sa.String(64)))
    index("keys", "user_id")
    op.add_column("keys", sa.Column("origin", sa.String(16), nullable=False, server_default="made"))
    op.add_column("audit", sa.Column("user_name", sa.String(255)))
