"""What a model sees: its face in lists, its best instance's images on its page, and the images of passports."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from fastapi.responses import Response

from oakmill.conversion.passport import page as passport_page
from oakmill.errors import NotFound, TooLarge
from oakmill.hub.state import Hub
from oakmill.registry import faces, instances, resolve
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import Instance, Role
from oakmill.web.page_context import Open, Reading
from oakmill.web.routing import Id, page_router
from oakmill.web.views import documents, pictures
from oakmill.web.views.job import file_of

pages = page_router()

Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{16,64}$")]
LARGEST_FACE = 64 << 10
FOR_GOOD = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


@pages.get("/models/{model_id}/face/{digest}")
def face(model_id: Id, digest: Digest, context: Open, session: Reading) -> Response:
    """The small image that stands for a model in lists."""
    model = resolve.model(session, context.caller, Address(model_id))
    if model.face is None or not model.face.startswith(digest):
        raise NotFound(f"The model {model.name!r} has another face now.", subject=model_id, remedy="Reload the page.")
    return Response(_small(context.at, model.face), media_type="image/jpeg", headers=FOR_GOOD)


@pages.get("/models/{model_id}/sights")
def sights(model_id: Id, context: Open, session: Reading) -> Response:
    """A piece of a model's page: images as its best instance sees them, and as the float model does."""
    model = resolve.model(session, context.caller, Address(model_id))
    best = faces.best_instance(session, model.id)
    row = instances.instance(session, context.caller, best) if best else None
    return context.part("model/sights.html", row=row, sights=_drawn(context.at, row) if row else "")


@pages.get("/instances/{instance_id}/sights")
def sights_of_instance(instance_id: Id, context: Open, session: Reading) -> Response:
    """A piece of a job's page: images as what it made sees them."""
    row = instances.instance(session, context.caller, instance_id)
    return context.part("model/sights.html", row=row, sights=_drawn(context.at, row))


@pages.get("/instances/{instance_id}/pictures/{digest}/{number}")
def picture(
    instance_id: Id, digest: Digest, number: Annotated[int, Path(ge=0, lt=1000)], context: Open, session: Reading
) -> Response:
    """An image of an instance's passport."""
    row = instances.instance(session, context.caller, instance_id)
    file = file_of(row.files, Role.PASSPORT)
    if file is None or not file.sha256.startswith(digest):
        raise NotFound(f"The instance {row.name!r} has no such passport.", subject=row.id, remedy="Reload the page.")
    data = pictures.image(context.at, file, number)
    return Response(data, media_type=pictures.kind_of(data), headers=FOR_GOOD)


def _small(at: Hub, sha256: str) -> bytes:
    """The bytes of a face, which a job wrote: not more than it may have."""
    data = b""
    for piece in at.blobs.stream(sha256):
        data += piece
        if len(data) > LARGEST_FACE:
            raise TooLarge(f"The face has more than {LARGEST_FACE >> 10} kB.", remedy="Convert the model again.")
    return data


def _drawn(at: Hub, row: Instance) -> Any:
    file = file_of(row.files, Role.PASSPORT)
    passport = documents.passport_in(documents.json_of(at, file))
    if file is None or passport is None:
        return ""
    return passport_page.sights(passport, pictures.addresses(at, row, file, passport))
