"""Events are told to webhooks; what waits to be told is an outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.migrations.building import index, json, long_text, make, refer, text, when, whole

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Two tables."""
    make(
        "webhooks",
        *text(64, "id", "team_id"),
        *text(2000, "url"),
        *text(255, "secret"),
        *text(255, "old_secret", null=True),
        *json("events"),
        *when("created"),
        *when("old_until", null=True),
        refer("team_id", "teams"),
        sa.PrimaryKeyConstraint("id"),
    )
    index("webhooks", "team_id")
    make(
        "deliveries",
        *text(64, "id", "webhook_id"),
        *text(32, "event"),
        *text(16, "status"),
        *text(32, "token", null=True),
        *long_text("body", "error", "answer"),
        *whole("attempt"),
        *whole("code", null=True),
        *when("created", "due"),
        *when("sent", null=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        refer("webhook_id", "webhooks"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("deliveries_to_send", "deliveries", ["status", "due"])
    op.create_index("deliveries_of_webhook", "deliveries", ["webhook_id", "created"])
