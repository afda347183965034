"""Imports over HTTP: the hub fetches a model from Hugging Face or HubAI, where its operator allows it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Response
from pydantic import Field, SecretStr

from oakmill.api.bodies import Body
from oakmill.errors import NotFound
from oakmill.hub import imports
from oakmill.hub.auth import Converter, Reader, Reading, TheHub
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Import
from oakmill.registry import instances

routes = router("imports")

Word = Annotated[str, Field(max_length=255)]


class ImportIn(Body):
    """What to fetch, and where to: a new model, a new version of one, or a source that waits since a try failed."""

    address: Annotated[str, Field(min_length=1, max_length=1000)] = Field(
        description="hf:OWNER/REPO/FILE[@REVISION] or hubai:TEAM/MODEL:VARIANT[:VERSION or HASH]"
    )
    key: SecretStr = Field(SecretStr(""), max_length=500, description="Yours, to that place; it is not kept.")
    name: Word = Field("", description="Of the new model; by default as it is called there.")
    variant: Word = ""
    version: Annotated[str, Field(max_length=64)] = Field("", description="By default the next.")
    model_id: Annotated[str, Field(max_length=64)] = ""
    instance_id: Annotated[str, Field(max_length=64)] = ""


@routes.post("/imports", status_code=202)
def begin_import(body: ImportIn, caller: Converter, at: TheHub, response: Response) -> Import:
    """Begin to import; ask what became of it at the address in `Location`."""
    asked = imports.Asked(**body.model_dump(exclude={"key"}), key=body.key.get_secret_value())
    instance_id = imports.begin(at, caller, asked)
    response.headers["Location"] = f"/api/v1/imports/{instance_id}"
    return _shown(at, instance_id)


@routes.get("/imports/{instance_id}")
def get_import(instance_id: Id, session: Reading, caller: Reader, at: TheHub) -> Import:
    """How far it is, or how it ended."""
    return _shown(at, instances.instance(session, caller, instance_id).id)


def _shown(at: TheHub, instance_id: str) -> Import:
    found = imports.standing(at, instance_id)
    if found is None:
        raise NotFound("It was not imported by this hub, or long ago.", subject=instance_id)
    return Import(
        instance_id=instance_id, is_running=found.is_running, what=found.what, done=found.done, total=found.total,
        error=found.error, remedy=found.remedy,
    )  # fmt: skip
