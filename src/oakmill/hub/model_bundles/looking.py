"""Looks at an instance of a bundle before it comes in: a hub says of a file what it has found, not what it was told.

Models are looked at in the isolated worker, as uploads are. What a result's recipe and passport say is read by what
reads them after a job, which trusts neither.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from oakmill.conversion.passport import page
from oakmill.conversion.passport.report import Passport
from oakmill.errors import BadBundle, NotAModel
from oakmill.hub import passports_read
from oakmill.hub.state import Hub
from oakmill.jobs import ingest, publish
from oakmill.registry.instances import Facts
from oakmill.registry.tables import Role
from oakmill.spec.bundle import BundledFile, BundledInstance
from oakmill.spec.recipe import Recipe
from oakmill.untrusted.questions import Inspection, SourceFacts

_LARGEST_PASSPORT = 64 << 20
_LARGEST_FACE = 1 << 20
_JPEG = b"\xff\xd8\xff"


def look(at: Hub, instance: BundledInstance, team_id: str) -> Facts:
    """What the registry is to note of an instance whose files are in the store.

    Raises:
        NotAModel: its file is none of its type.
        BadBundle: files of it are missing, or its recipe, passport or face is none.
        SourceError, UnsupportedModel, LimitExceeded, Unavailable: as `ingest.inspect`.
    """
    found, source = _inspected(at, instance, team_id)
    recipe, passport = _recipe(at, instance), _passport(at, instance, Role.PASSPORT)
    _passport(at, instance, Role.MEASURED)
    _check_face(at, instance)
    facts: Facts = {
        "facts": found.as_facts(),
        "input_shape": [list(item.shape) for item in source.inputs],
        "precision": instance.precision,
        "tool_version": instance.tool_version,
    }
    if recipe is not None or passport is not None:
        summary: dict[str, Any] = {"config": source.archive, "heads": list(instance.heads)}
        if passport is not None:
            summary |= {"passport": passport.as_dict(), "verdict": passport.verdict.value}
        facts |= publish.facts_of(summary, recipe)
    if measured := _measured(instance):
        facts["facts"] |= {"measured": measured}
    return facts | {"is_nn_archive": source.is_nn_archive}


def _measured(instance: BundledInstance) -> dict[str, Any]:
    """What cameras of the other hub's have measured; there is no job of it here."""
    found = {"speed": instance.speed, "proof": instance.proof}
    return {
        name: {**item.model_dump(mode="json", exclude_none=True), "job": ""}
        for name, item in found.items()
        if item is not None
    }


def _inspected(at: Hub, instance: BundledInstance, team_id: str) -> tuple[Inspection, SourceFacts]:
    named = sorted((file for file in instance.files if file.role in {"model", "part"}), key=_model_last)
    files = {file.name: partial(at.blobs.fetch, file.sha256) for file in named}
    found = ingest.inspect(at.isolated, files, team_id, compiled=instance.model_type not in ingest.FORMATS)
    if found.source is None:
        lost = ", ".join(found.missing)
        raise _bad(instance, f"it needs {lost}, which the bundle does not hold")
    if found.model != instance.model.name or found.source.model_type != instance.model_type:
        raise NotAModel(
            f"{found.model} is {found.source.model_type}, but the bundle says that {instance.model.name} is "
            f"{instance.model_type}.",
            subject=instance.name,
            remedy="Make the bundle anew.",
        )
    return found, found.source


def _model_last(file: BundledFile) -> bool:
    return file.role == "model"


def _only(instance: BundledInstance, role: Role) -> BundledFile | None:
    return next((file for file in instance.files if file.role == role), None)


def _recipe(at: Hub, instance: BundledInstance) -> Recipe | None:
    file = _only(instance, Role.RECIPE)
    if file is None:
        return None
    with tempfile.TemporaryDirectory(prefix="oakmill-bundle-") as folder:
        path = Path(folder) / "it.recipe.yaml"
        at.blobs.fetch(file.sha256, path)
        return publish.recipe_in([path])


def _passport(at: Hub, instance: BundledInstance, role: Role) -> Passport | None:
    file = _only(instance, role)
    if file is None:
        return None
    if file.size > _LARGEST_PASSPORT:
        raise _bad(instance, f"its passport has {file.size >> 20} MB")
    with passports_read.readable(lambda why: _bad(instance, f"its passport is none that can be read: {why}")):
        found = passports_read.parsed(b"".join(at.blobs.stream(file.sha256)))
        page.render(found, {"name": instance.name})
        return found


def _check_face(at: Hub, instance: BundledInstance) -> None:
    file = _only(instance, Role.FACE)
    if file is None:
        return
    head = b"".join(at.blobs.stream(file.sha256, 0, len(_JPEG)))
    if file.size > _LARGEST_FACE or head != _JPEG:
        raise _bad(instance, "the small image of it is none")


def _bad(instance: BundledInstance, why: str) -> BadBundle:
    return BadBundle(
        f"The instance {instance.name!r} of the bundle cannot be taken in: {why}.",
        subject=instance.name,
        remedy="Make the bundle anew.",
    )
