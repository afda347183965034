"""Bundles of models over HTTP: made and streamed, and taken in once they have been uploaded."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import Field

from oakmill.api.bodies import Body, Text
from oakmill.hub.auth import Converter, Reader, Reading, TheHub
from oakmill.hub.model_bundles import uploaded
from oakmill.hub.model_bundles.answering import answer
from oakmill.hub.routing import Id, router
from oakmill.hub.wire_bundle import BundlePreview, BundleTaken

routes = router("bundles")

Slug = Annotated[str, Field(min_length=1, max_length=511)]


class BundleIn(Body):
    """How a bundle is to be taken in."""

    names: dict[Slug, Text] = Field(
        default_factory=dict, max_length=1000, description="Other names for models, by the slugs that they have in it."
    )
    only: list[Slug] = Field(default_factory=list, max_length=1000, description="Which of its models; all by default.")


@routes.get(
    "/bundle",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}, "description": "The bundle."}},
)
def make_bundle(
    request: Request,
    session: Reading,
    caller: Reader,
    at: TheHub,
    model: Annotated[list[Slug], Query(min_length=1, max_length=1000, description="[team/]model")],
    with_datasets: bool = False,
) -> Response:
    """A bundle of whole models, made while it is sent: what is complete below them, with all files."""
    return answer(at, request, session, caller, model, with_datasets=with_datasets)


@routes.get("/bundles/{upload_id}")
def get_bundle(upload_id: Id, session: Reading, caller: Converter, at: TheHub) -> BundlePreview:
    """What an uploaded bundle would bring."""
    return uploaded.preview(session, caller, at, upload_id)


@routes.post("/bundles/{upload_id}/take")
def take_bundle(upload_id: Id, body: BundleIn, caller: Converter, at: TheHub) -> BundleTaken:
    """Take in what is not here yet; the upload is over then."""
    return uploaded.take(at, caller, upload_id, names=body.names, only=body.only)
