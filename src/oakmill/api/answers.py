"""Rows as the answers that tell of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from oakmill.calibration.doctor import diagnosis_of
from oakmill.hub import wire, wire_keeping
from oakmill.jobs import estimates
from oakmill.jobs.tables import LIVE, Job
from oakmill.registry.aliases import Placed
from oakmill.registry.models import Counts
from oakmill.registry.tables import AliasMove, Dataset, Instance, Key, Model, Version


def model(row: Model, counts: Counts) -> wire.ModelDetail:
    """A model that came with its team, and what stands below it; lists leave the card out."""
    below = {
        "variants": counts.variants,
        "versions": counts.versions,
        "instances": sum(counts.instances.values()),
        "available": tuple(counts.available),
    }
    names = wire.ModelDetail.model_fields.keys() - below.keys() - {"team"}
    return wire.ModelDetail(**{name: getattr(row, name) for name in names}, team=row.team.slug, **below)


def version(row: Version) -> wire.Version:
    """A version that came with its variant."""
    own = {name: getattr(row, name) for name in wire.Version.model_fields if name not in {"variant", "variant_slug"}}
    return wire.Version(**own, variant=row.variant.name, variant_slug=row.variant.slug)


def alias(found: Placed) -> wire_keeping.Alias:
    """An alias, where it points to and where it did before."""
    row, before, last = found.alias, found.before, found.last
    return wire_keeping.Alias(
        name=row.name,
        variant_id=row.variant_id,
        variant_slug=row.variant.slug,
        version_id=row.version_id,
        version=row.version.version,
        moved=row.moved,
        moved_by=last.who if last else "",
        why=last.why if last else "",
        before_id=before.id if before else None,
        before=before.version if before else None,
    )


def alias_move(row: AliasMove) -> wire_keeping.AliasMove:
    """A move of an alias that came with its variant."""
    own = {name: getattr(row, name) for name in wire_keeping.AliasMove.model_fields if name != "variant_slug"}
    return wire_keeping.AliasMove(**own, variant_slug=row.variant.slug)


CONFIGS = frozenset({"config", "archive"})
"""Facts that are an NN Archive's whole config, up to a megabyte each."""


def listed_instance(row: Instance) -> wire.Instance:
    """An instance as one of many: without its config."""
    found = wire.Instance.model_validate(row)
    return found.model_copy(update={"facts": {name: fact for name, fact in row.facts.items() if name not in CONFIGS}})


def job(session: Session, row: Job) -> wire.Job:
    """A job, with what is expected of one that has not ended."""
    found = wire.Job.model_validate(row)
    if row.status not in LIVE:
        return found
    expected = estimates.estimate(session, row)
    names = ("position", "wait", "run", "fraction")
    return found.model_copy(update={name: getattr(expected, name) for name in names})


def dataset(row: Dataset) -> wire.DatasetDetail:
    """A calibration set, with what the calibration doctor says of it; lists leave that out."""
    doctor = diagnosis_of(row.report["doctor"]) if row.report.get("doctor") else None
    return wire.DatasetDetail.model_validate(row).model_copy(
        update={
            "verdict": doctor and doctor.verdict,
            "doctor": doctor.as_dict() if doctor else {},
            "left_out": row.report.get("left_out", 0),
            "thumbnails": len(row.report.get("thumbnails", ())),
        }
    )


def key(row: Key) -> dict[str, Any]:
    """What is known of a key, for `wire.Key` and, with the key itself, for `wire.NewKey`."""
    own = {name: getattr(row, name) for name in wire.Key.model_fields if name != "scopes"}
    return {**own, "scopes": tuple(row.scopes.split(","))}
