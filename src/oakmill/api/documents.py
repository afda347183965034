"""What belongs to an instance besides its model: recipe, accuracy passport, and the config of its NN Archive."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Response
from sqlalchemy.orm import Session

from oakmill.conversion.passport import earlier
from oakmill.errors import NotFound
from oakmill.hub import evidence
from oakmill.hub.auth import Anyone, Reading, TheHub
from oakmill.hub.routing import Id, router
from oakmill.hub.state import Hub
from oakmill.hub.wire import EvidenceKey
from oakmill.registry import instances
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Role
from oakmill.spec.evidence import Evidence

routes = router("instances")

LARGEST = 64 << 20
_PAGE_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
}
_AS_FILE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
_AS_PAGE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


@routes.get("/instances/{instance_id}/recipe", response_class=Response, responses=_AS_FILE)
def get_recipe(instance_id: Id, session: Reading, caller: Anyone, at: TheHub) -> Response:
    """The recipe (YAML) that `oakmill replay` follows."""
    return Response(_document(at, session, caller, instance_id, Role.RECIPE), media_type="text/plain")


@routes.get("/instances/{instance_id}/passport")
def get_passport(instance_id: Id, session: Reading, caller: Anyone, at: TheHub) -> dict[str, Any]:
    """The accuracy passport, in the form of this version whatever wrote it."""
    return earlier.raised(json.loads(_document(at, session, caller, instance_id, Role.PASSPORT)))


@routes.get("/instances/{instance_id}/passport.html", response_class=Response, responses=_AS_PAGE)
def get_passport_page(instance_id: Id, session: Reading, caller: Anyone, at: TheHub) -> Response:
    """The accuracy passport as a page of its own."""
    page = _document(at, session, caller, instance_id, Role.PASSPORT_PAGE)
    return Response(page, media_type="text/html", headers=_PAGE_HEADERS)


@routes.get("/instances/{instance_id}/config")
def get_config(instance_id: Id, session: Reading, caller: Anyone) -> dict[str, Any]:
    """The config.json of the NN Archive."""
    row = instances.instance(session, caller, instance_id)
    config = row.facts.get("config") or row.facts.get("archive")
    if not isinstance(config, dict):
        raise _has_none("config", instance_id)
    return config


@routes.get("/instances/{instance_id}/evidence")
def get_evidence(instance_id: Id, session: Reading, caller: Anyone, at: TheHub) -> Evidence:
    """What the hub signs of the instance: the digests of model, recipe and passport. `oakmill verify` checks it."""
    return evidence.sign(at.secret, instances.instance(session, caller, instance_id))


@routes.get("/evidence-key")
async def get_evidence_key(at: TheHub) -> EvidenceKey:
    """The public key (Ed25519) that the hub's signatures are checked with. Needs no key."""
    return EvidenceKey(public_key=evidence.public_key(at.secret))


def _document(at: Hub, session: Session, caller: Caller, instance_id: str, role: Role) -> bytes:
    row = instances.instance(session, caller, instance_id)
    file = next((file for file in row.files if file.role == role), None)
    if file is None or file.size > LARGEST:
        raise _has_none(role.value.replace("_", " "), instance_id)
    return b"".join(at.blobs.stream(file.sha256))


def _has_none(what: str, instance_id: str) -> NotFound:
    return NotFound(
        f"The instance {instance_id!r} has no {what}.",
        subject=instance_id,
        remedy="Converted instances have one, once their conversion is through.",
    )
