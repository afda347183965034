"""Sends files to a hub: hashed first, then by offset, going on where the hub has kept what came before a break."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from oakmill.client.connection import LOOKING, Connection
from oakmill.errors import Conflict, HubUnreachable, OffsetConflict, SourceError, Unavailable
from oakmill.hub.wire import Completed, Upload

PIECE = 1 << 20
_TYPE = "application/offset+octet-stream"

Progress = Callable[[int, int], None]
"""Told how many bytes of how many the hub's side has been sent."""


def unwatched(done: int, total: int) -> None:
    """Tell nobody."""


class Uploads:
    """Uploads of the key's own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def file(
        self, path: Path, purpose: dict[str, Any], *, name: str | None = None, progress: Progress = unwatched
    ) -> Completed:
        """Send a file from its first byte to its last, and let it become what it is for.

        Raises:
            SourceError: the file cannot be read.
            HashMismatch: the file was changed while it was sent.
            TooLarge: the hub, the team's quota or the disk has no room for it.
            HubUnreachable: the connection broke again and again.
            OakmillError: it is not what it is to be; what the hub finds, by name.
        """
        upload = self.create(path, purpose, name=name)
        self.send(upload, path, progress=progress)
        return self.complete(upload.id)

    def create(self, path: Path, purpose: dict[str, Any], *, name: str | None = None) -> Upload:
        """Announce a file, with its size and sha256.

        Raises:
            SourceError: it cannot be read.
            TooLarge: the hub, the team's quota or the disk has no room for it.
            NotFound, Forbidden, Conflict: what it is for is not there, not the key's, or takes no file.
            HubUnreachable: the hub does not answer.
        """
        size, sha256 = _measured(path)
        body = {"name": name or path.name, "size": size, "sha256": sha256, "purpose": purpose}
        answer = self._connection.ask("POST", "/uploads", again=True, json=body)  # a second one is left to expire
        return Upload.model_validate(answer)

    def get(self, upload_id: str) -> Upload:
        """How far an upload has come.

        Raises:
            NotFound: there is none; it may have expired.
            HubUnreachable: the hub does not answer.
        """
        return Upload.model_validate(self._connection.get(f"/uploads/{upload_id}"))

    def send(self, upload: Upload, path: Path, *, progress: Progress = unwatched) -> None:
        """Send what is missing, in as many requests as it takes; also of an upload that another process began.

        Raises:
            SourceError: the file cannot be read.
            HubUnreachable: the connection broke again and again, and no byte got through.
            OakmillError: what the hub refuses it with, by name.
        """
        patience = self._connection.patient()
        offset, total = upload.offset, upload.size or path.stat().st_size
        with _opened(path) as file:
            while offset < total:
                before = offset
                try:
                    self._append(upload.id, offset, total, file, progress)
                    return
                except OffsetConflict as error:
                    offset = int(error.subject)
                except (HubUnreachable, Unavailable, Conflict) as error:
                    patience.rest(error)
                    offset = self._open(upload.id, error).offset
                if offset > before:
                    patience.renew()

    def complete(self, upload_id: str) -> Completed:
        """Let an upload that has come whole become what it is for. Asked again, the hub says the same.

        Raises:
            OffsetConflict: bytes are missing.
            HashMismatch: they are not those that were announced.
            HubUnreachable: the hub does not answer.
            OakmillError: it is not what it is to be; what the hub finds, by name.
        """
        answer = self._connection.ask("POST", f"/uploads/{upload_id}/complete", again=True, timeout=LOOKING)
        return Completed.model_validate(answer)

    def abandon(self, upload_id: str) -> None:
        """Give an upload up.

        Raises:
            NotFound: there is none.
            HubUnreachable: the hub does not answer.
        """
        self._connection.ask("DELETE", f"/uploads/{upload_id}")

    def _open(self, upload_id: str, error: Exception) -> Upload:
        """The upload as the hub has it; the error itself where it is over."""
        upload = self.get(upload_id)
        if upload.status != "open":
            raise error
        return upload

    def _append(self, upload_id: str, offset: int, total: int, file: BinaryIO, progress: Progress) -> None:
        headers = {"Upload-Offset": str(offset), "Content-Type": _TYPE, "Content-Length": str(total - offset)}
        pieces = _pieces(file, offset, total, progress)
        self._connection.send("PATCH", f"/uploads/{upload_id}", headers=headers, content=pieces)


def _pieces(file: BinaryIO, offset: int, total: int, progress: Progress) -> Iterator[bytes]:
    file.seek(offset)
    while offset < total:
        piece = file.read(min(PIECE, total - offset))
        if not piece:
            raise SourceError(f"{file.name} became shorter while it was sent.", remedy="Send it again.")
        yield piece
        offset += len(piece)
        progress(offset, total)


def _measured(path: Path) -> tuple[int, str]:
    with _opened(path) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), sha256


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error
