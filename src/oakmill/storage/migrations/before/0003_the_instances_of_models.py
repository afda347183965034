"""The instances of models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.migrations.building import big, index, make, refer, text, when

revision = "0003"
down_revision = "0002"

_FILTERS = ("owner_key_id", "status", "origin", "model_type", "precision", "tool_version", "verdict")


def upgrade() -> None:
    """The instances of models."""
    _files()
    _instances()


def _files() -> None:
    make(
        "files",
        *text(64, "id", "instance_id"),
        *text(255, "name"),
        *text(16, "role"),
        *text(64, "sha256"),
        *big("size"),
        *when("created", "updated"),
        refer("instance_id", "instances"),
        sa.PrimaryKeyConstraint("id"),
    )
    index("files", "instance_id")
    index("files", "sha256")


def _instances() -> None:
    for name, leading in (("of_all", ["visibility"]), ("of_team", ["team_id", "visibility"])):
        for sort in ("created", "downloads", "name", "updated"):
            words = ["words"] if sort == "updated" else []
            op.create_index(f"instances_{name}_by_{sort}", "instances", [*leading, sort, "id", *_FILTERS, *words])
        others = [column for column in _FILTERS if column != "model_type"]
        op.create_index(f"instances_{name}_by_type", "instances", [*leading, "model_type", "updated", "id", *others])
    op.create_index("instances_of_model", "instances", ["model_id", "model_type", "status"])
    op.create_index("instances_of_model_by_updated", "instances", ["model_id", "updated", "id"])
    for column in ("job_id", "parent_id", "sha256", "slug", "variant_id", "version_id"):
        index("instances", column)
