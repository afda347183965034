"""Variants and versions over HTTP."""

from __future__ import annotations

from fastapi import Response

from oakmill.api import answers
from oakmill.api.bodies import VersionChanges, VersionIn, stated
from oakmill.hub.auth import Anyone, Converter, Reading, TheHub, Writing
from oakmill.hub.removal import remove
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Listed, Variant, Version
from oakmill.registry import variants

routes = router("versions")


@routes.get("/models/{model_id}/variants")
def list_variants(model_id: Id, session: Reading, caller: Anyone) -> Listed[Variant]:
    """The model's variants by name."""
    return Listed(items=tuple(map(Variant.model_validate, variants.of_model(session, caller, model_id))))


@routes.delete("/variants/{variant_id}", status_code=204)
def delete_variant(variant_id: Id, session: Writing, caller: Converter, at: TheHub, force: bool = False) -> None:
    """Put the variant with its versions and all below them into the trash."""
    remove(at, session, caller, "variants", variant_id, force=force)


@routes.get("/models/{model_id}/versions")
def list_versions(model_id: Id, session: Reading, caller: Anyone) -> Listed[Version]:
    """All versions of the model, the highest first."""
    return Listed(items=tuple(map(answers.version, variants.versions_of(session, caller, model_id))))


@routes.post("/models/{model_id}/versions", status_code=201)
def create_version(model_id: Id, body: VersionIn, session: Writing, caller: Converter, response: Response) -> Version:
    """A new version; its variant is made where there is none of that name."""
    notes = stated(body, "variant", "version")
    row = variants.add_version(session, caller, model_id, name=body.variant, version=body.version, **notes)
    response.headers["Location"] = f"/api/v1/versions/{row.id}"
    return answers.version(row)


@routes.get("/versions/{version_id}")
def get_version(version_id: Id, session: Reading, caller: Anyone) -> Version:
    """A version."""
    return answers.version(variants.version(session, caller, version_id))


@routes.patch("/versions/{version_id}")
def change_version(version_id: Id, body: VersionChanges, session: Writing, caller: Converter) -> Version:
    """Change what is given; the number stays."""
    variants.update_version(session, caller, version_id, **stated(body))
    session.flush()
    return answers.version(variants.version(session, caller, version_id))


@routes.delete("/versions/{version_id}", status_code=204)
def delete_version(version_id: Id, session: Writing, caller: Converter, at: TheHub, force: bool = False) -> None:
    """Put the version with all below it into the trash."""
    remove(at, session, caller, "versions", version_id, force=force)
