"""A model that blobconverter's client sends: a source of the caller's team, the same one for the same bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.compat.forms import FilePiece, UploadForm
from oakmill.errors import NotFound, OakmillError, SpecError, TooLarge
from oakmill.hub import upload_completion, uploads
from oakmill.hub.state import Hub
from oakmill.hub.uploads import ForInstance
from oakmill.registry import access, instances, models, resolve, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import checked_name, slugify
from oakmill.registry.tables import Instance, InstanceFile, Model, Origin, Visibility
from oakmill.storage.tables import Upload

CONFIG = "config"
_LARGEST_CONFIG = 1 << 20
_MOST_FILES = 8


@dataclass
class Sent:
    """What has come: the form's fields, the model.yml, and the instance that the files are of."""

    fields: dict[str, str] = field(default_factory=dict)
    config: bytes = b""
    instance_id: str = ""


async def receive(request: Request, at: Hub, caller: Caller, check: Callable[[bytes], object]) -> Sent:
    """Take the form in, its files straight into uploads of a new instance; `check` looks at the model.yml.

    Raises:
        SpecError, TooLarge: it is no such form, or too large.
        OakmillError: as uploads are refused, and as `check` raises.
    """
    form, stream = UploadForm(request.headers.get("content-type", "")), request.stream()
    sent = Sent(form.fields)
    pieces = _Pieces(form.files(stream))
    try:
        while (first := await pieces.head()) is not None:
            if first.number >= _MOST_FILES:
                raise TooLarge(f"The form has more than {_MOST_FILES} files.")
            if first.name == CONFIG:
                check(config := await _small(pieces.of(first.number)))
                sent.config = config
            else:
                await _file(at, caller, sent, first, pieces)
    except TooLarge:
        raise
    except OakmillError:
        async for _ in stream:  # else the client, which is still sending, never reads why
            pass
        raise
    if not sent.instance_id:
        raise SpecError("The form holds no model.", remedy="Send the model itself, not its address.")
    await run_in_threadpool(_settle, at, caller, sent)
    return sent


class _Pieces:
    """The form's files, with a look at what comes next."""

    def __init__(self, pieces: AsyncIterator[FilePiece]) -> None:
        self._pieces = pieces
        self._next: FilePiece | None = None

    async def head(self) -> FilePiece | None:
        """The next piece, which stays; None at the end."""
        if self._next is None:
            self._next = await anext(self._pieces, None)
        return self._next

    async def of(self, number: int) -> AsyncIterator[bytes]:
        """The bytes of one file, which is the next."""
        while (piece := await self.head()) is not None and piece.number == number:
            self._next = None
            yield piece.data


async def _small(pieces: AsyncIterator[bytes]) -> bytes:
    found = b""
    async for piece in pieces:
        found += piece
        if len(found) > _LARGEST_CONFIG:
            raise TooLarge("config has more than 1 MB.")
    return found


async def _file(at: Hub, caller: Caller, sent: Sent, first: FilePiece, pieces: _Pieces) -> None:
    upload_id = await run_in_threadpool(_announce, at, caller, sent, first.name)
    await at.uploads.append(upload_id, 0, pieces.of(first.number))
    await run_in_threadpool(_arrive, at, caller, upload_id)


def _announce(at: Hub, caller: Caller, sent: Sent, name: str) -> str:
    with at.db.session() as session:
        if not sent.instance_id:
            sent.instance_id = _made(session, caller, sent.fields.get("name", "")).id
        purpose = ForInstance(kind="instance", instance_id=sent.instance_id)
        return uploads.announce(session, caller, at, purpose, name=checked_name(name, "file's name")).id


def _made(session: Session, caller: Caller, name: str) -> Instance:
    """A new source of the team's model of that name."""
    if not name:
        raise SpecError('Parameter "name" is empty!')
    try:
        model = resolve.model(session, caller, f"{caller.team_slug}/{slugify(name)}")
        access.changeable(session, caller, Model, model.id)
    except NotFound:
        model = models.create(session, caller, name=name, visibility=Visibility.TEAM)
    version = variants.add_version(session, caller, model.id, name="default")
    return instances.create(session, caller, version.id, name=name, model_type="ONNX")


def _arrive(at: Hub, caller: Caller, upload_id: str) -> None:
    with at.db.reading() as session:
        upload = session.get_one(Upload, upload_id)
    upload_completion.arrive(at, caller, upload)


def _settle(at: Hub, caller: Caller, sent: Sent) -> None:
    """Go on with the source of the same bytes that came before, where there is one."""
    with at.db.session() as session:
        row = access.changeable(session, caller, Instance, sent.instance_id)
        mine = _files(session, row.id)
        others = select(Instance.id).where(
            Instance.model_id == row.model_id, Instance.origin == Origin.SOURCE, Instance.sha256 == row.sha256,
            Instance.id != row.id, Instance.sha256.is_not(None), Instance.trash_id.is_(None),
        )  # fmt: skip
        twin = next((other for other in session.scalars(others) if _files(session, other) == mine), None)
        if twin is not None:
            variants.delete_version(session, caller, row.version_id, force=True)
            sent.instance_id = twin


def _files(session: Session, instance_id: str) -> set[tuple[str, str]]:
    found = select(InstanceFile.name, InstanceFile.sha256).where(InstanceFile.instance_id == instance_id)
    return {(name, sha256) for name, sha256 in session.execute(found)}
