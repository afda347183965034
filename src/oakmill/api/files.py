"""The bytes of instances' files over HTTP: links to them, and what is behind a link."""

from __future__ import annotations

from fastapi import Request, Response

from oakmill.hub import files
from oakmill.hub.auth import Anyone, Reading, TheHub
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import FileLink, Listed
from oakmill.registry import instances

routes = router("files")


@routes.get("/instances/{instance_id}/files", tags=["instances"])
def list_files(instance_id: Id, request: Request, session: Reading, caller: Anyone, at: TheHub) -> Listed[FileLink]:
    """The instance's files, each with a link to its bytes that works for a while, without a key."""
    row = instances.instance(session, caller, instance_id)
    return Listed(items=tuple(files.link(at, request, caller, file) for file in row.files))


@routes.get(
    "/files/{token}/{name}",
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The bytes."}, 206: {}, 416: {}},
    response_class=Response,
)
@routes.head("/files/{token}/{name}", include_in_schema=False)
def get_file(token: str, name: str, request: Request, session: Reading, at: TheHub) -> Response:
    """The bytes behind a link, or a part of them (`Range`). The name is for people; the token decides."""
    address = request.client.host if request.client else ""
    file, caller = files.behind(at, session, token, address)
    if request.method == "GET" and _is_start(request):
        files.note_download(at, session, caller, file)
    return files.send(at, request, file.sha256, file.size, file.name)


def _is_start(request: Request) -> bool:
    wanted = request.headers.get("range", "bytes=0-")
    return wanted.startswith("bytes=0-")
