"""The instances of models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.database import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """The instances of models."""
    _make_files()
    _change_files_2()
    _change_instances_3()
    _change_instances_4()
    _change_instances_5()
    _change_instances_6()
    _change_instances_7()
    _change_instances_8()


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


def _change_files_2() -> None:
    with op.batch_alter_table("files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_files_instance_id"), ["instance_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_files_sha256"), ["sha256"], unique=False)


def _change_instances_3() -> None:
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


def _change_instances_4() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
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


def _change_instances_5() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
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


def _change_instances_6() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
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


def _change_instances_7() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instances_job_id"), ["job_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_instances_parent_id"), ["parent_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_instances_sha256"), ["sha256"], unique=False)


def _change_instances_8() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instances_slug"), ["slug"], unique=False)
        batch_op.create_index(batch_op.f("ix_instances_variant_id"), ["variant_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_instances_version_id"), ["version_id"], unique=False)
