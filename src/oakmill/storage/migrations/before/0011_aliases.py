"""Aliases point to versions, and remember where they pointed."""

from __future__ import annotations

import sqlalchemy as sa

from oakmill.storage.migrations.building import counter, index, make, refer, text, when

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Two tables."""
    make(
        "aliases",
        *text(64, "variant_id", "version_id"),
        *text(32, "name"),
        *when("moved"),
        refer("variant_id", "variants"),
        refer("version_id", "versions"),
        sa.PrimaryKeyConstraint("variant_id", "name"),
    )
    index("aliases", "version_id")
    make(
        "alias_moves",
        *counter("id"),
        *text(64, "variant_id"),
        *text(32, "name"),
        *when("at"),
        *text(64, "key_id", "from_id", "from_version", "to_id", "to_version", null=True),
        *text(255, "who", "why"),
        refer("variant_id", "variants"),
        sa.PrimaryKeyConstraint("id"),
    )
    index("alias_moves", "variant_id")
