"""Calibration sets over HTTP: the named ones and how they stand, the team's own with what the doctor says of them."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import BaseModel, Field

from oakmill.api import answers
from oakmill.calibration.datasets import SETS, State, entries
from oakmill.errors import NotFound
from oakmill.hub.auth import Converter, Reader, Reading, TheHub, Writing
from oakmill.hub.removal import remove_dataset
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Dataset, DatasetDetail, Listed
from oakmill.registry import datasets

routes = router("datasets")

_AS_IMAGE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}


class NamedSetOut(BaseModel):
    """A set that every team may name."""

    name: str
    state: State
    images: int
    bytes: int
    description: str
    detail: str = Field(description="What to know of it, or what installs it.")


@routes.get("/datasets/named")
def list_named(caller: Reader, at: TheHub) -> Listed[NamedSetOut]:
    """The sets that every team may name, and how they stand on this machine."""
    found = [entry for entry in entries(at.settings) if entry.name in SETS]
    return Listed(items=tuple(NamedSetOut(**asdict(entry)) for entry in found))


@routes.get("/datasets")
def list_datasets(session: Reading, caller: Reader) -> Listed[Dataset]:
    """The team's own sets by name."""
    return Listed(items=tuple(map(answers.dataset, datasets.listed(session, caller))))


@routes.get("/datasets/{dataset_id}")
def get_dataset(dataset_id: Id, session: Reading, caller: Reader) -> DatasetDetail:
    """A set of the team's own, with what the calibration doctor says of it."""
    return answers.dataset(datasets.seen(session, caller, dataset_id))


@routes.get("/datasets/{dataset_id}/thumbnails/{number}", response_class=Response, responses=_AS_IMAGE)
def get_thumbnail(
    dataset_id: Id, number: Annotated[int, Path(ge=0, lt=1000)], session: Reading, caller: Reader
) -> Response:
    """A small image (JPEG) of what is in the set."""
    small = datasets.seen(session, caller, dataset_id).report.get("thumbnails", [])
    if number >= len(small):
        raise NotFound(f"The set {dataset_id!r} has {len(small)} thumbnails.", subject=str(number))
    headers = {"Cache-Control": "private, max-age=86400"}
    return Response(base64.b64decode(small[number]), media_type="image/jpeg", headers=headers)


@routes.delete("/datasets/{dataset_id}", status_code=204)
def delete_dataset(dataset_id: Id, session: Writing, caller: Converter, at: TheHub) -> None:
    """Put a set into the trash; conversions made with it keep its hash in their recipe."""
    remove_dataset(at, session, caller, dataset_id)
