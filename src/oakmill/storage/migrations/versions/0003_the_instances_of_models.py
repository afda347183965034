"""The instances of models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.database import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """The instances of models."""
    _make_instances()
    _change_instances_2()
    _change_instances_3()
    _change_instances_4()
    _change_instances_5()
    _change_instances_6()
    _make_files()
    _change_files_8()
    _change_versions_9()


def _make_instances() -> None:
    op.create_table(
        "instances",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("model_id", sa.String(length=64), nullable=False),
        sa.Column("variant_id", sa.String(length=64), nullable=False),
        sa.Column("version_id", sa.String(length=64), nullable=False),
        sa.Column("parent_id", sa.String(length=64), nullable=True),
        sa.Column("job_id", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("slug", sa.String(length=255), nullable=False),
        sa.Column("words", sa.String(length=400), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=True),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("model_type", sa.String(length=16), nullable=False),
        sa.Column("is_nn_archive", sa.Boolean(), nullable=False),
        sa.Column("precision", sa.String(length=40), nullable=True),
        sa.Column("tool_version", sa.String(length=64), nullable=True),
        sa.Column("input_shape", sa.JSON(), nullable=False),
        sa.Column("quantization_data", sa.String(length=255), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("verdict", sa.String(length=8), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("yolo_version", sa.String(length=32), nullable=True),
        sa.Column("downloads", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("owner_key_id", sa.String(length=64), nullable=True),
        sa.Column("visibility", sa.String(length=16), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("updated", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["parent_id"], ["instances.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["variant_id"], ["variants.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )


def _change_instances_2() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.create_index(
            "instances_of_all_by_created",
            [
                "visibility",
                "created",
                "id",
                "owner_key_id",
                "status",
                "origin",
                "model_type",
                "precision",
                "tool_version",
                "verdict",
            ],
            unique=False,
        )
        batch_op.create_index(
            "instances_of_all_by_downloads",
            [
                "visibility",
                "downloads",
                "id",
                "owner_key_id",
                "status",
                "origin",
                "model_type",
                "precision",
                "tool_version",
                "verdict",
            ],
            unique=False,
        )
        batch_op.create_index(
            "instances_of_all_by_name",
            [
                "visibility",
                "name",
                "id",
                "owner_key_id",
                "status",
                "origin",
                "model_type",
                "precision",
                "tool_version",
                "verdict",
            ],
            unique=False,
        )
        batch_op.create_index(
            "instances_of_all_by_type",
            [
                "visibility",
                "model_type",
                "updated",
                "id",
                "owner_key_id",
                "status",
                "origin",
                "precision",
                "tool_version",
                "verdict",
            ],
            unique=False,
        )


def _change_instances_3() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.create_index(
            "instances_of_all_by_updated",
            [
                "visibility",
                "updated",
                "id",
                "owner_key_id",
                "status",
                "origin",
                "model_type",
                "precision",
                "tool_version",
                "verdict",
                "words",
            ],
            unique=False,
        )
        batch_op.create_index("instances_of_model", ["model_id", "model_type", "status"], unique=False)
        batch_op.create_index("instances_of_model_by_updated", ["model_id", "updated", "id"], unique=False)
        batch_op.create_index(
            "instances_of_team_by_created",
            [
                "team_id",
                "visibility",
                "created",
                "id",
                "owner_key_id",
                "status",
                "origin",
                "model_type",
                "precision",
                "tool_version",
                "verdict",
            ],
            unique=False,
        )


def _change_instances_4() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.create_index(
            "instances_of_team_by_downloads",
            [
                "team_id",
                "visibility",
                "downloads",
                "id",
                "owner_key_id",
                "status",
                "origin",
                "model_type",
                "precision",
                "tool_version",
                "verdict",
            ],
            unique=False,
        )
        batch_op.create_index(
            "instances_of_team_by_name",
            [
                "team_id",
                "visibility",
                "name",
                "id",
                "owner_key_id",
                "status",
                "origin",
                "model_type",
                "precision",
                "tool_version",
                "verdict",
            ],
            unique=False,
        )
        batch_op.create_index(
            "instances_of_team_by_type",
            [
                "team_id",
                "visibility",
                "model_type",
                "updated",
                "id",
                "owner_key_id",
                "status",
                "origin",
                "precision",
                "tool_version",
                "verdict",
            ],
            unique=False,
        )
        batch_op.create_index(
            "instances_of_team_by_updated",
            [
                "team_id",
                "visibility",
                "updated",
                "id",
                "owner_key_id",
                "status",
                "origin",
                "model_type",
                "precision",
                "tool_version",
                "verdict",
                "words",
            ],
            unique=False,
        )


def _change_instances_5() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instances_job_id"), ["job_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_instances_parent_id"), ["parent_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_instances_sha256"), ["sha256"], unique=False)
        batch_op.create_index(batch_op.f("ix_instances_slug"), ["slug"], unique=False)


def _change_instances_6() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instances_variant_id"), ["variant_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_instances_version_id"), ["version_id"], unique=False)


def _make_files() -> None:
    op.create_table(
        "files",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("updated", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )


def _change_files_8() -> None:
    with op.batch_alter_table("files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_files_instance_id"), ["instance_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_files_sha256"), ["sha256"], unique=False)


def _change_versions_9() -> None:
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.create_index("versions_of_team_by_updated", ["team_id", "visibility", "updated", "id"], unique=False)
