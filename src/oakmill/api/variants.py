"""Variants and versions over HTTP."""

from __future__ import annotations

from fastapi import Response

from oakmill.hub.auth import Anyone, Converter, Reading, Writing
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Listed, VariantOut, VersionChanges, VersionIn, VersionOut, stated
from oakmill.registry import variants

routes = router("versions")


@routes.get("/models/{model_id}/variants")
def list_variants(model_id: Id, session: Reading, caller: Anyone) -> Listed[VariantOut]:
    """The model's variants by name."""
    return Listed(items=[VariantOut.of(row) for row in variants.of_model(session, caller, model_id)])


@routes.delete("/variants/{variant_id}", status_code=204)
def delete_variant(variant_id: Id, session: Writing, caller: Converter, force: bool = False) -> None:
    """Delete the variant with its versions and all below them."""
    variants.delete(session, caller, variant_id, force=force)


@routes.get("/models/{model_id}/versions")
def list_versions(model_id: Id, session: Reading, caller: Anyone) -> Listed[VersionOut]:
    """All versions of the model, the highest first."""
    return Listed(items=[VersionOut.of(row) for row in variants.versions_of(session, caller, model_id)])


@routes.post("/models/{model_id}/versions", status_code=201)
def create_version(
    model_id: Id, body: VersionIn, session: Writing, caller: Converter, response: Response
) -> VersionOut:
    """A new version; its variant is made where there is none of that name."""
    notes = stated(body, "variant", "version")
    row = variants.add_version(session, caller, model_id, name=body.variant, version=body.version, **notes)
    response.headers["Location"] = f"/api/v1/versions/{row.id}"
    return VersionOut.of(row)


@routes.get("/versions/{version_id}")
def get_version(version_id: Id, session: Reading, caller: Anyone) -> VersionOut:
    """A version."""
    return VersionOut.of(variants.version(session, caller, version_id))


@routes.patch("/versions/{version_id}")
def change_version(version_id: Id, body: VersionChanges, session: Writing, caller: Converter) -> VersionOut:
    """Change what is given; the number stays."""
    variants.update_version(session, caller, version_id, **stated(body))
    session.flush()
    return VersionOut.of(variants.version(session, caller, version_id))


@routes.delete("/versions/{version_id}", status_code=204)
def delete_version(version_id: Id, session: Writing, caller: Converter, force: bool = False) -> None:
    """Delete the version and all below it."""
    variants.delete_version(session, caller, version_id, force=force)
