"""The storage that HubAI's client sends files to without a key: what it may send is signed into form and address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from oakmill.compat.forms import UploadForm
from oakmill.compat.hubai import jobs
from oakmill.compat.wire import MODELS, STORAGE, Json, in_words, router
from oakmill.errors import NotAModel, OakmillError, SpecError
from oakmill.hub import links, upload_completion, uploads
from oakmill.hub.auth import Converter, TheHub, Writing
from oakmill.hub.files import base_url
from oakmill.hub.routing import Id
from oakmill.hub.state import Hub
from oakmill.hub.uploads import FileName, ForInstance
from oakmill.registry.callers import LOCAL
from oakmill.storage.tables import Upload, UploadStatus

routes = router()

PURPOSE = "hubai upload"
UNUSED = ""
"""In the place of an upload: its bytes are for nothing, and are not kept."""
SIGNATURE = "x-goog-signature"
_LONGEST_ERROR = 2000


@routes.post(f"{MODELS}/modelInstances/{{instance_id}}/upload_async")
def announce(
    instance_id: Id,
    request: Request,
    session: Writing,
    caller: Converter,
    at: TheHub,
    size: Annotated[int, Query(ge=1, lt=2**63)],
    name: Annotated[FileName, Query()],
) -> Json:
    """The form in which the file is to be sent, and the job that takes it in."""
    purpose = ForInstance(kind="instance", instance_id=instance_id)
    made = uploads.announce(session, caller, at, purpose, name=name, size=size)
    token = links.sign(at.secret, PURPOSE, {"upload": made.id}, seconds=at.settings.link_seconds)
    fields = {
        "key": f"{made.id}/{name}",
        "policy": "none",
        "success_action_status": "201",
        "x-goog-algorithm": "none",
        "x-goog-credential": "none",
        "x-goog-date": "none",
        SIGNATURE: token,
    }
    job = jobs.upload_shape(session, made)
    return {"job": job, "policy": {"url": f"{base_url(at, request)}{STORAGE}/upload", "fields": fields}}


@routes.post(f"{STORAGE}/upload")
async def receive_form(request: Request, at: TheHub) -> Response:
    """Take a file in a form. Whether it is what it is to be, its job says."""
    form = UploadForm(request.headers.get("content-type", ""))
    pieces = form.file(request.stream())
    first = await anext(pieces, b"")
    if not first or SIGNATURE not in form.fields:
        raise SpecError(f"The form holds no file, or not {SIGNATURE} before it.", remedy="Send the policy's fields.")
    upload_id = links.read(at.secret, PURPOSE, form.fields[SIGNATURE])["upload"]
    await at.uploads.append(upload_id, 0, _chained(first, pieces))
    await run_in_threadpool(_arrive, at, upload_id)
    return Response(status_code=201)


@routes.put(f"{STORAGE}/quantization/{{token}}")
async def receive_zip(token: str, request: Request, at: TheHub) -> Response:
    """Take the zip that an export waits for. Whether it can be used, the export's job says."""
    upload_id = links.read(at.secret, PURPOSE, token)["upload"]
    if upload_id == UNUSED:
        async for _ in request.stream():  # a client that is still sending reads no answer
            pass
        return Response(status_code=200)
    await at.uploads.append(upload_id, 0, request.stream())
    await run_in_threadpool(_arrive, at, upload_id)
    return Response(status_code=200)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _arrive(at: Hub, upload_id: str) -> None:
    """Let the upload become what it is for; a refusal is the job's to tell. Its link was given to who may do that."""
    with at.db.reading() as session:
        upload = session.get_one(Upload, upload_id)
    try:
        arrived = upload_completion.arrive(at, LOCAL, upload)
        if arrived.missing:
            raise _incomplete(upload.name, arrived.missing)
    except OakmillError as error:
        if error.status >= 500:
            raise
        _refuse(at, upload_id, error)


def _incomplete(name: str, missing: Sequence[str]) -> NotAModel:
    """The client sends one file and never a second one."""
    return NotAModel(
        f"{name} needs {', '.join(missing)}, and this client sends one file.",
        subject=name,
        remedy="Pack all files of the model into an NN Archive, and upload that.",
    )


def _refuse(at: Hub, upload_id: str, error: OakmillError) -> None:
    with at.db.session() as session:
        row = session.get(Upload, upload_id)
        if row is not None:
            row.status = UploadStatus.FAILED
            row.error = in_words(error.message, error.remedy)[:_LONGEST_ERROR]
