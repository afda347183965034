"""Uploads that resume: announced, sent by offset in as many requests as it takes, then completed for their purpose.

Of what has come, nothing is seen before the upload is completed, and a model not before it was inspected.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from oakmill.api.bodies import Body, Sha256
from oakmill.hub import upload_completion, uploads, visibility
from oakmill.hub.auth import Converter, Reading, TheHub, Writing
from oakmill.hub.routing import Id, router
from oakmill.hub.state import Hub
from oakmill.hub.uploads import FileName, Purpose
from oakmill.hub.wire import Completed, Upload
from oakmill.registry import audit
from oakmill.registry.callers import Caller

routes = router("uploads")

Offset = Annotated[int, Header(ge=0, lt=2**63, description="The byte at which this request goes on.")]


class UploadIn(Body):
    """An upload that is announced."""

    name: FileName = Field(description="The file's own name; with sub-folders where a model names it so.")
    size: Annotated[int, Field(ge=1, lt=2**63)] | None = Field(None, description="Bytes; by default not known yet.")
    sha256: Sha256 | None = None
    purpose: Purpose


@routes.post("/uploads", status_code=201)
def create_upload(body: UploadIn, session: Writing, caller: Converter, at: TheHub, response: Response) -> Upload:
    """Announce an upload; its bytes are sent to it by PATCH."""
    row = uploads.announce(session, caller, at, body.purpose, name=body.name, size=body.size, sha256=body.sha256)
    response.headers.update({"Location": f"/api/v1/uploads/{row.id}", "Upload-Offset": "0"})
    return Upload.model_validate(row)


@routes.get("/uploads/{upload_id}")
@routes.head("/uploads/{upload_id}", include_in_schema=False)
def get_upload(upload_id: Id, session: Reading, caller: Converter, at: TheHub, response: Response) -> Upload:
    """How far an upload has come; HEAD says the same by its headers."""
    row = Upload.model_validate(visibility.upload(session, caller, upload_id))
    found = row.model_copy(update={"offset": at.uploads.offset(upload_id)})
    response.headers.update({"Upload-Offset": str(found.offset), "Cache-Control": "no-store"})
    if found.size is not None:
        response.headers["Upload-Length"] = str(found.size)
    return found


@routes.patch(
    "/uploads/{upload_id}",
    status_code=204,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def append(upload_id: Id, request: Request, caller: Converter, at: TheHub, upload_offset: Offset) -> Response:
    """Send bytes from the offset on. What came before a connection broke is kept: ask for the offset, and go on."""
    await run_in_threadpool(_require_own, at, caller, upload_id)
    offset = await at.uploads.append(upload_id, upload_offset, request.stream())
    return Response(status_code=204, headers={"Upload-Offset": str(offset)})


@routes.post("/uploads/{upload_id}/complete")
def complete(upload_id: Id, caller: Converter, at: TheHub) -> Completed:
    """Check what has come, and let it become what it is for. Asked again, it says the same."""
    with at.db.reading() as session:
        row = visibility.upload(session, caller, upload_id)
    return upload_completion.arrive(at, caller, row)


@routes.delete("/uploads/{upload_id}", status_code=204)
def abandon(upload_id: Id, session: Writing, caller: Converter, at: TheHub) -> None:
    """Give an upload up; its bytes are freed."""
    row = visibility.upload(session, caller, upload_id)
    at.uploads.abandon(session, upload_id)
    audit.record(session, caller, "upload.delete", upload_id, of_team=row.team_id, name=row.name)


def _require_own(at: Hub, caller: Caller, upload_id: str) -> None:
    with at.db.reading() as session:
        visibility.upload(session, caller, upload_id)
