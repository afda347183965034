"""Hands out the bytes of instances' files: signed links that expire, and downloads that resume."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from fastapi import Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from sqlalchemy.orm import Session

from oakmill.errors import NoKey, NotFound
from oakmill.hub import links
from oakmill.hub.state import Hub
from oakmill.hub.wire import FileLink
from oakmill.registry import access, audit, keys, models
from oakmill.registry.callers import Caller, anonymous
from oakmill.registry.tables import Instance, InstanceFile, Role
from oakmill.storage.database import now

_LINK = "file"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_PLAIN = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-transform", "Accept-Ranges": "bytes"}


def link(at: Hub, request: Request, caller: Caller, file: InstanceFile) -> FileLink:
    """A file, with a link to it, which works while the caller's key is in force and sees the file."""
    seconds = at.settings.link_seconds
    token = links.sign(at.secret, _LINK, {"file": file.id, "key": caller.key_id}, seconds=seconds)
    own = {name: getattr(file, name) for name in ("id", "name", "role", "sha256", "size")}
    url = f"{base_url(at, request)}/api/v1/files/{token}/{links.quoted(_plain(file.name))}"
    return FileLink(**own, url=url, expires=now() + timedelta(seconds=seconds))


def behind(at: Hub, session: Session, token: str, address: str) -> tuple[InstanceFile, Caller]:
    """The file that a link's token is for, and for whom the link was made.

    Raises:
        NotFound: the link does not work, or no more: it has expired, or its caller may not have the file any more.
    """
    said = links.read(at.secret, _LINK, token)
    file, key_id = session.get(InstanceFile, said["file"]), said.get("key")
    if file is None:
        raise links.expired()
    try:
        found = keys.holder(session, key_id, address=address) if key_id else anonymous(at.settings, address)
        access.seen(session, found, Instance, file.instance_id)
    except (NoKey, NotFound):
        raise links.expired() from None
    return file, found


def note_download(at: Hub, session: Session, caller: Caller, file: InstanceFile) -> None:
    """Who has downloaded what, and how often a model was."""
    instance = session.get_one(Instance, file.instance_id)
    team_id, model_id = instance.team_id, instance.model_id

    def write(writing: Session) -> None:
        audit.record(writing, caller, "file.download", file.id, of_team=team_id, name=file.name, sha256=file.sha256)
        if file.role == Role.MODEL:
            models.count_download(writing, model_id, file.instance_id)

    at.later.note(write)


def base_url(at: Hub, request: Request) -> str:
    """The hub's address, as the settings or else the client say it."""
    return (at.settings.public_url or str(request.base_url)).rstrip("/")


def send(at: Hub, request: Request, sha256: str, size: int, name: str) -> Response:
    """A blob as an answer, whole or in part. Whether the caller may have it was checked before.

    Raises:
        NotFound: the store has no such bytes.
    """
    headers = {
        **_PLAIN,
        "ETag": f'"{sha256}"',
        "Content-Disposition": f"attachment; filename*=UTF-8''{links.quoted(_plain(name))}",
    }
    path = at.blobs.local(sha256)
    if path is not None:
        return FileResponse(path, headers=headers, media_type="application/octet-stream")
    return _from_bucket(at, request, sha256, size, headers)


def _plain(name: str) -> str:
    """A file's name without the sub-folders that external data may lie in."""
    return name.rpartition("/")[2]


def _from_bucket(at: Hub, request: Request, sha256: str, size: int, headers: Mapping[str, str]) -> Response:
    wanted = _part(request, sha256, size)
    if wanted is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    start, end = wanted
    extra = {**headers, "Content-Length": str(end - start)}
    if (start, end) != (0, size):
        extra["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    body = iter(()) if request.method == "HEAD" else at.blobs.stream(sha256, start, end)
    status = 206 if "Content-Range" in extra else 200
    return StreamingResponse(body, status, headers=extra, media_type="application/octet-stream")


def _part(request: Request, sha256: str, size: int) -> tuple[int, int] | None:
    """Start and end of what is wanted; None where there is nothing there. What is no single range means the whole."""
    found = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if found is None or found.group() == "bytes=-" or request.headers.get("if-range", f'"{sha256}"') != f'"{sha256}"':
        return 0, size
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    start, end = int(first), min(int(last) + 1 if last else size, size)
    return (start, end) if start < end else None
