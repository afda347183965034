"""A model has a face: the sha256 of a small image; those of before get one with their next conversion."""

from __future__ import annotations

from alembic import op

from oakmill.storage.migrations.building import text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """A column."""
    op.add_column("models", *text(64, "face", null=True))
