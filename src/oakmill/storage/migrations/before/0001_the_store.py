"""The store."""

from __future__ import annotations

import sqlalchemy as sa

from oakmill.storage.migrations.building import big, index, json, make, text, when

revision = "0001"
down_revision = None


def upgrade() -> None:
    """The store."""
    _blobs()
    _uploads()


def _blobs() -> None:
    make(
        "blobs",
        *text(64, "sha256"),
        *big("size"),
        *when("created"),
        sa.PrimaryKeyConstraint("sha256"),
    )
    index("blobs", "created")


def _uploads() -> None:
    make(
        "uploads",
        *text(64, "id", "team_id"),
        *text(64, "key_id", null=True),
        *text(255, "name"),
        *big("size", null=True),
        *big("max_size", "offset"),
        *text(64, "expected_sha256", "sha256", null=True),
        *text(16, "status"),
        *text(2000, "error", null=True),
        *json("purpose"),
        *when("created", "updated", "expires"),
        sa.PrimaryKeyConstraint("id"),
    )
    index("uploads", "team_id")
