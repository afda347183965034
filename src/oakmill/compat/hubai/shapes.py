"""The registry's rows as HubAI's clients read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.compat.hubai import words
from oakmill.compat.wire import Json, naive
from oakmill.registry import models as registry_models
from oakmill.registry.instances import SHORT
from oakmill.registry.models import Counts
from oakmill.registry.tables import (
    Instance,
    InstanceFile,
    InstanceStatus,
    Model,
    Origin,
    Team,
    Variant,
    Version,
    Visibility,
)
from oakmill.registry.words import target_types
from oakmill.spec.platforms import PLATFORMS, titles
from oakmill.storage.database import now

EMPTY = "<empty>"
"""What the client writes for a summary that was not given."""
_LONGEST_DESCRIPTION = 10_000
_LONGEST = 255


def models(session: Session, rows: Sequence[Model]) -> list[Json]:
    """Models, with what stands below them."""
    counts = registry_models.counts(session, [row.id for row in rows])
    return [_model(session.get_one(Team, row.team_id), row, counts[row.id]) for row in rows]


def _model(team: Team, row: Model, counts: Counts) -> Json:
    sources = [name for name in counts.available if name not in target_types()]
    return {
        "id": row.id,
        "name": row.name,
        "slug": row.slug,
        "license_type": row.license,
        "is_public": row.visibility == Visibility.PUBLIC,
        "description_short": row.summary or EMPTY,
        "description": row.card[:_LONGEST_DESCRIPTION] or None,
        "architecture_id": row.architecture,
        "tasks": row.tasks,
        "links": [{"name": item.get("name", ""), "link": item.get("link", "")} for item in row.links],
        "is_yolo": row.is_yolo,
        "team_name": team.name,
        "team_slug": team.slug,
        **_times(row),
        "likes": 0,
        "downloads": row.downloads,
        "versions": counts.versions,
        "last_version_added": None,
        "platforms": counts.available,
        "exportable_to": titles() if sources else [],
        "exportable_types": sources,
        "project_id": None,
        "is_commercial": None,
        "is_official": False,
        "is_liked_by_user": None,
        "model_image_link": None,
    }


def versions(session: Session, rows: Sequence[Version]) -> list[Json]:
    """Versions, with what stands below them."""
    below = _below(session, [row.id for row in rows])
    return [_version(session.get_one(Variant, row.variant_id), row, below[row.id]) for row in rows]


@dataclass(frozen=True)
class _Below:
    """What is to be known of an instance below a version."""

    id: str
    model_type: str
    origin: str
    is_nn_archive: bool


def _below(session: Session, version_ids: Sequence[str]) -> Mapping[str, list[_Below]]:
    """The available instances of each version."""
    wanted = select(Instance.version_id, Instance.id, Instance.model_type, Instance.origin, Instance.is_nn_archive)
    usable = (Instance.status == InstanceStatus.AVAILABLE) & Instance.trash_id.is_(None)
    wanted = wanted.where(Instance.version_id.in_(version_ids), usable)
    found: dict[str, list[_Below]] = defaultdict(list)
    for row in session.execute(wanted.order_by(Instance.created)):
        found[row.version_id].append(_Below(row.id, row.model_type, row.origin, row.is_nn_archive))
    return found


def _version(variant: Variant, row: Version, below: Sequence[_Below]) -> Json:
    sources = [item for item in below if item.origin == Origin.SOURCE]
    return {
        "id": row.id,
        "model_id": row.model_id,
        "name": variant.name,
        "version": row.version,
        "slug": version_slug(variant.slug, row.version),
        "variant_slug": variant.slug,
        "description": row.changelog[:_LONGEST] or None,
        "repository_url": row.repository_url,
        "commit_hash": row.commit_hash,
        "domain": row.domain if row.domain == "GENERAL" else None,
        "training_run_id": None,
        "training_run_name": None,
        "tags": row.tags,
        **_times(row),
        "platforms": sorted({item.model_type for item in below}),
        "number_base_files": len(sources),
        "is_public": row.visibility == Visibility.PUBLIC,
        "exportable_to": titles() if sources else [],
        "available_for": [{"id": item.id, "platform": item.model_type} for item in below],
        "exportable_types": sorted({item.model_type for item in sources}),
        "has_base_nn_archive": any(item.is_nn_archive for item in sources),
    }


def version_slug(variant_slug: str, version: str) -> str:
    """A version's slug, which the registry does not keep."""
    return f"{variant_slug}-{version}"


def instance(session: Session, row: Instance) -> Json:
    """An instance."""
    return {
        "id": row.id,
        "model_id": row.model_id,
        "model_version_id": row.version_id,
        "parent_id": row.parent_id,
        "job_id": row.job_id,
        "model_type": row.model_type,
        "name": row.name,
        "slug": row.slug,
        "description": row.description,
        "tags": row.tags,
        "hardware_parameters": _hardware(row),
        "input_shape": _shapes(row.input_shape),
        "quantization_data": words.calibration_set(row.quantization_data),
        "yolo_version": row.yolo_version if row.yolo_version in words.YOLO_VERSIONS else None,
        **_times(row),
        "is_nn_archive": row.is_nn_archive,
        "model_class": words.model_class(row),
        "exportable_to": titles() if row.origin == Origin.SOURCE and words.status(row) == "available" else [],
        "is_public": row.visibility == Visibility.PUBLIC,
        "model_precision_type": words.precision(row.precision),
        "status": words.status(row),
        "platforms": [row.model_type],
        "hash": row.sha256,
        "hash_short": row.sha256[:SHORT] if row.sha256 else None,
        "model_version_name": session.get_one(Variant, row.variant_id).name,
        "training_run_name": None,
    }


def file(row: InstanceFile) -> Json:
    """A file of an instance."""
    return {
        "id": row.id,
        "model_instance_id": row.instance_id,
        "filepath": row.name,
        **_times(row),
        "file_size_bytes": row.size,
    }


def _times(row: Model | Version | Instance | InstanceFile) -> Json:
    return {"created": naive(row.created or now()), "updated": naive(row.updated or now())}


def _hardware(row: Instance) -> Json | None:
    """What a result was made with."""
    if row.tool_version is None:
        return None
    facts = PLATFORMS.get(row.model_type.lower())
    return {facts.tools.field if facts and facts.tools else "ir_version": row.tool_version}


def _shapes(shapes: Sequence[Sequence[Any]]) -> list[list[int]] | None:
    """The shapes where all of them are fixed: clients take nothing else."""
    fixed = all(isinstance(size, int) and size > 0 for shape in shapes for size in shape)
    return [list(shape) for shape in shapes] if shapes and fixed else None
