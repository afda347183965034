"""The registry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.migrations.building import (
    big,
    counter,
    flag,
    index,
    json,
    long_text,
    make,
    refer,
    text,
    when,
    whole,
)

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """The registry."""
    _audit()
    _teams()
    _datasets()
    _models()
    _keys()
    _variants()
    _versions()
    _instances()


def _audit() -> None:
    make(
        "audit",
        *counter("id"),
        *when("at"),
        *text(64, "team_id", "key_id", null=True),
        *text(255, "key_name"),
        *text(64, "action"),
        *text(255, "subject"),
        *json("detail"),
        *text(64, "address"),
        sa.PrimaryKeyConstraint("id"),
    )
    index("audit", "team_id")


def _teams() -> None:
    make(
        "teams",
        *text(64, "id"),
        *text(255, "name", "slug"),
        *big("quota_bytes", null=True),
        *when("created", "updated"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("slug"),
    )


def _datasets() -> None:
    make(
        "datasets",
        *text(64, "id", "team_id"),
        *text(255, "name", "slug"),
        *text(64, "sha256"),
        *big("size"),
        *whole("count"),
        *json("report"),
        *when("created", "updated"),
        refer("team_id", "teams"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("team_id", "slug", name="one_dataset_per_slug"),
    )
    index("datasets", "sha256")


def _models() -> None:
    make(
        "models",
        *text(64, "id"),
        *text(255, "name", "slug"),
        *text(400, "words"),
        *text(255, "summary"),
        *text(64, "license"),
        *text(255, "architecture", null=True),
        *json("tasks", "tags", "links"),
        *flag("is_yolo"),
        *whole("downloads"),
        *long_text("card"),
        *text(64, "team_id"),
        *text(64, "owner_key_id", null=True),
        *text(16, "visibility"),
        *when("created", "updated"),
        refer("team_id", "teams"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("team_id", "slug", name="one_model_per_slug"),
    )
    op.create_index("models_by_slug", "models", ["slug"])
    op.create_index("models_of_all_by_created", "models", ["visibility", "created", "id"])
    op.create_index("models_of_all_by_downloads", "models", ["visibility", "downloads", "id"])
    op.create_index("models_of_all_by_name", "models", ["visibility", "name", "id"])
    op.create_index("models_of_all_by_updated", "models", ["visibility", "updated", "id", "words"])
    op.create_index("models_of_team_by_created", "models", ["team_id", "visibility", "created", "id"])
    op.create_index("models_of_team_by_downloads", "models", ["team_id", "visibility", "downloads", "id"])
    op.create_index("models_of_team_by_name", "models", ["team_id", "visibility", "name", "id"])
    op.create_index("models_of_team_by_updated", "models", ["team_id", "visibility", "updated", "id", "words"])


def _keys() -> None:
    make(
        "keys",
        *text(64, "id", "team_id"),
        *text(64, "model_id", null=True),
        *text(255, "name"),
        *text(16, "prefix"),
        *text(64, "sha256", "scopes"),
        *when("created"),
        *when("expires", "revoked", "last_used", null=True),
        refer("model_id", "models"),
        refer("team_id", "teams"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sha256"),
    )
    index("keys", "team_id")


def _variants() -> None:
    make(
        "variants",
        *text(64, "id", "model_id"),
        *text(255, "name", "slug"),
        *when("created", "updated"),
        refer("model_id", "models"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("model_id", "slug", name="one_variant_per_slug"),
    )


def _versions() -> None:
    make(
        "versions",
        *text(64, "id", "variant_id", "model_id", "version"),
        *whole("major", "minor", "patch"),
        *long_text("changelog"),
        *text(2000, "repository_url", null=True),
        *text(64, "commit_hash", null=True),
        *text(32, "domain", null=True),
        *json("tags"),
        *text(64, "team_id"),
        *text(64, "owner_key_id", null=True),
        *text(16, "visibility"),
        *when("created", "updated"),
        refer("model_id", "models"),
        refer("team_id", "teams"),
        refer("variant_id", "variants"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("variant_id", "version", name="one_row_per_version"),
    )
    index("versions", "model_id")
    op.create_index("versions_of_all_by_created", "versions", ["visibility", "created", "id"])
    op.create_index("versions_of_all_by_updated", "versions", ["visibility", "updated", "id"])
    op.create_index("versions_of_team_by_created", "versions", ["team_id", "visibility", "created", "id"])
    op.create_index("versions_of_team_by_updated", "versions", ["team_id", "visibility", "updated", "id"])


def _instances() -> None:
    make(
        "instances",
        *text(64, "id", "model_id", "variant_id", "version_id"),
        *text(64, "parent_id", "job_id", null=True),
        *text(255, "name", "slug"),
        *text(400, "words"),
        *text(255, "description", null=True),
        *text(16, "origin", "status", "model_type"),
        *flag("is_nn_archive"),
        *text(40, "precision", null=True),
        *text(64, "tool_version", null=True),
        *json("input_shape"),
        *text(255, "quantization_data", null=True),
        *text(64, "sha256", null=True),
        *big("size", null=True),
        *text(8, "verdict", null=True),
        *json("facts", "parameters", "tags"),
        *text(32, "yolo_version", null=True),
        *whole("downloads"),
        *text(64, "team_id"),
        *text(64, "owner_key_id", null=True),
        *text(16, "visibility"),
        *when("created", "updated"),
        refer("model_id", "models"),
        refer("parent_id", "instances"),
        refer("team_id", "teams"),
        refer("variant_id", "variants"),
        refer("version_id", "versions"),
        sa.PrimaryKeyConstraint("id"),
    )
