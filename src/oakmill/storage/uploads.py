"""Uploads that resume: bytes come by offset, in as many requests as it takes, and are seen when they are complete.

The truth about how far an upload has come is the size of its partial file; the row's `offset` follows it. A server that
is killed loses nothing that it has written, and the hash is taken anew from the file when the process that kept it is
gone. One connection writes an upload at a time: a new one takes over from one that hangs.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, HashMismatch, NotFound, OffsetConflict, TooLarge
from oakmill.files import private_folder
from oakmill.settings import Settings
from oakmill.storage.blobs import PIECE, BlobStore, Stored
from oakmill.storage.database import Database, now
from oakmill.storage.spool import Sink, Spooled, check_room, pump, receive
from oakmill.storage.tables import Upload, UploadStatus

if TYPE_CHECKING:
    from hashlib import _Hash

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
SPOOL = "spool-"
"""What a file on its way is called; one that a crash leaves is removed when uploads expire."""


@dataclass
class _Sending:
    """A connection that is writing an upload."""

    task: asyncio.Task[Any]
    overtaken: bool = False
    left: asyncio.Event = field(default_factory=asyncio.Event)


class Uploads:
    """All uploads of a hub. `append` and `receive` are for the event loop; the rest blocks, and is for threads."""

    def __init__(self, db: Database, blobs: BlobStore, settings: Settings) -> None:
        self.folder = private_folder(settings.hub / "uploads")
        self._db = db
        self._blobs = blobs
        self._largest = settings.upload_max_mb << 20
        self._rest = timedelta(hours=settings.upload_hours)
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="upload")
        self._digests: dict[str, tuple[int, _Hash]] = {}
        self._sending: dict[str, _Sending] = {}

    def create(
        self,
        session: Session,
        *,
        team_id: str,
        key_id: str | None,
        name: str,
        size: int | None,
        sha256: str | None = None,
        purpose: dict[str, Any] | None = None,
        quota_left: int | None = None,
    ) -> Upload:
        """Announce an upload; its first byte may come when the transaction is through. `quota_left` None is no bound.

        Raises:
            TooLarge: what is announced is more than the hub takes, or than quota or disk leave room for.
        """
        limit = self._largest if quota_left is None else min(self._largest, quota_left)
        self._check_announced(name, size or 0, quota_left)
        upload = Upload(
            id="aiu_" + "".join(secrets.choice(_ALPHABET) for _ in range(22)),
            team_id=team_id,
            key_id=key_id,
            name=name[:255],
            size=size,
            max_size=limit if size is None else size,
            expected_sha256=sha256.lower() if sha256 else None,
            purpose=purpose or {},
            expires=now() + self._rest,
        )
        session.add(upload)
        self._partial(upload.id).touch()  # left by a transaction that fails; `expire` removes it
        return upload

    async def append(self, upload_id: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """Add bytes from `offset` on; how many there are now. What came before a broken connection is kept.

        Raises:
            NotFound: there is no such upload; it has expired.
            OffsetConflict: it goes on at another byte; `subject` says at which.
            Conflict: it is over already, or another connection is sending it or has taken over.
            TooLarge: more came than was announced or than there is room for; what came before stays.
        """
        async with self._alone(upload_id):
            sink = await asyncio.get_running_loop().run_in_executor(self._pool, self._open, upload_id, offset)
            try:
                await pump(chunks, sink, self._pool)
            finally:
                self._digests[upload_id] = (sink.position, sink.digest)
                noted = self._pool.submit(self._note, upload_id, sink.position)
            await asyncio.wrap_future(noted)
            return sink.position

    def offset(self, upload_id: str) -> int:
        """The byte at which an upload goes on.

        Raises:
            NotFound: there is no such upload; it has expired.
        """
        upload = self._row(upload_id)
        partial = self._partial(upload_id)
        return partial.stat().st_size if partial.exists() else upload.offset

    def finish(self, upload_id: str) -> Stored:
        """Check an upload that has come whole, move it into the store, and record it. Asked again, it says the same.

        It writes to the database, so the caller holds no session. Killed at any point, it can be asked again.

        Raises:
            NotFound: there is no such upload; it has expired.
            OffsetConflict: bytes are missing; `subject` says from which on.
            Conflict: it failed before, or another connection is sending it.
            HashMismatch: it is not what was announced; it is over, and its bytes are gone.
            TooLarge: the store is full.
            StoreUnreachable: the bucket does not answer; ask again later.
        """
        upload = self._row(upload_id)
        if upload.status == UploadStatus.COMPLETE:
            return Stored(upload.sha256 or "", upload.offset)
        self._check_open(upload)
        if upload.sha256 and not self._partial(upload_id).exists():  # killed after the bytes moved
            return self._complete(upload_id, Stored(upload.sha256, self._blobs.size(upload.sha256)))
        with self._locked(upload_id) as file:
            stored = self._checked(upload, file)
            self._promise(upload_id, stored)
            self._blobs.put_file(self._partial(upload_id), sha256=stored.sha256, move=True)
        return self._complete(upload_id, stored)

    async def receive(self, chunks: AsyncIterator[bytes], *, limit: int | None = None, name: str) -> Spooled:
        """Take a file that comes in one go. Nothing is left when the connection breaks.

        Raises:
            TooLarge: it is larger than `limit` or than the hub takes, or the disk is full.
        """
        path = self.folder / f"{SPOOL}{secrets.token_hex(16)}"
        most = self._largest if limit is None else min(limit, self._largest)
        return await receive(chunks, path, self._pool, limit=most, name=name)

    def abandon(self, session: Session, upload_id: str) -> None:
        """Forget an upload and its bytes.

        Raises:
            NotFound: there is no such upload.
        """
        upload = session.get(Upload, upload_id)
        if upload is None:
            raise _missing(upload_id)
        self._drop(session, upload)

    def expire(self, session: Session) -> int:
        """Give up uploads that have rested too long, and remove what crashes have left; how many were given up."""
        old = session.scalars(select(Upload).where(Upload.expires < now())).all()
        given_up = [upload for upload in old if upload.id not in self._sending and not self._is_sent(upload.id)]
        for upload in given_up:
            self._drop(session, upload)
        known = set(session.scalars(select(Upload.id)))
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process does the same
                if path.name not in known and _modified(path) < now() - self._rest:
                    path.unlink()
        return len(given_up)

    def close(self) -> None:
        """Wait for what is being written."""
        self._pool.shutdown()

    # What append does

    @asynccontextmanager
    async def _alone(self, upload_id: str) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None  # a coroutine that runs is in a task
        while other := self._sending.get(upload_id):
            other.overtaken = True
            other.task.cancel()
            await other.left.wait()
        mine = self._sending[upload_id] = _Sending(task)
        try:
            yield
        except asyncio.CancelledError:
            if not mine.overtaken:
                raise
            task.uncancel()
            raise Conflict("Another connection goes on with this upload", subject=upload_id) from None
        finally:
            del self._sending[upload_id]
            mine.left.set()

    def _open(self, upload_id: str, offset: int) -> Sink:
        upload = self._row(upload_id)
        self._check_open(upload)
        file = self._lock(upload_id)
        size = os.fstat(file.fileno()).st_size
        if size != offset:
            file.close()
            raise OffsetConflict(
                f"The upload of {upload.name} goes on at byte {size}, not {offset}",
                subject=str(size),
                remedy=f"Send the bytes from {size} on.",
            )
        return Sink(file, self._digest(upload_id, file), limit=upload.max_size, name=upload.name)

    def _note(self, upload_id: str, offset: int) -> None:
        with self._db.session() as session:
            upload = session.get(Upload, upload_id)
            if upload is not None and upload.status == UploadStatus.OPEN:
                upload.offset = offset
                upload.expires = now() + self._rest

    # What finish does

    def _checked(self, upload: Upload, file: FileIO) -> Stored:
        size = os.fstat(file.fileno()).st_size
        if upload.size is not None and size < upload.size:
            raise OffsetConflict(
                f"The upload of {upload.name} is not complete: {size} of {upload.size} bytes are here",
                subject=str(size),
                remedy=f"Send the bytes from {size} on.",
            )
        found = self._digest(upload.id, file).hexdigest()
        if upload.expected_sha256 not in {None, found}:
            message = f"{upload.name} did not come as announced: sha256 {found}, not {upload.expected_sha256}"
            self._fail(upload.id, message)
            raise HashMismatch(message, subject=upload.id, remedy="Send it again, from the start.")
        return Stored(found, size)

    def _promise(self, upload_id: str, stored: Stored) -> None:
        """Say what the bytes will be before they move, so that a crash between the two loses nothing."""
        with self._db.session() as session:
            upload = session.get_one(Upload, upload_id)
            upload.sha256, upload.offset = stored.sha256, stored.size

    def _complete(self, upload_id: str, stored: Stored) -> Stored:
        with self._db.session() as session:
            self._blobs.record(session, stored)
            upload = session.get_one(Upload, upload_id)
            upload.status, upload.size = UploadStatus.COMPLETE, stored.size
            upload.expires = now() + self._rest
        self._digests.pop(upload_id, None)
        return stored

    def _fail(self, upload_id: str, message: str) -> None:
        with self._db.session() as session:
            upload = session.get_one(Upload, upload_id)
            upload.status, upload.error = UploadStatus.FAILED, message
        self._remove(upload_id)

    # What both do

    def _row(self, upload_id: str) -> Upload:
        with self._db.reading() as session:
            upload = session.get(Upload, upload_id)
        if upload is None:
            raise _missing(upload_id)
        return upload

    def _check_open(self, upload: Upload) -> None:
        if upload.status != UploadStatus.OPEN:
            why = upload.error or "all its bytes are here"
            raise Conflict(f"The upload of {upload.name} is over: {why}", subject=upload.id)

    def _check_announced(self, name: str, size: int, quota_left: int | None) -> None:
        if size > self._largest:
            raise TooLarge(
                f"{name} has {size >> 20} MB; the hub takes {self._largest >> 20} MB at most",
                subject=name,
                remedy="Ask the operator to raise the setting upload_max_mb.",
            )
        if quota_left is not None and size > quota_left:
            raise TooLarge(
                f"{name} has {size} bytes; the team's quota leaves {max(quota_left, 0)}",
                subject=name,
                remedy="Delete what the team does not need, or ask the operator for more.",
            )
        check_room(self.folder, size, name)

    def _digest(self, upload_id: str, file: FileIO) -> _Hash:
        """The hash of the partial file: as this process has kept it, else taken from the file."""
        position, digest = self._digests.pop(upload_id, (-1, hashlib.sha256()))
        if position == os.fstat(file.fileno()).st_size:
            return digest
        digest = hashlib.sha256()
        file.seek(0)
        while piece := file.read(PIECE):
            digest.update(piece)
        return digest

    def _lock(self, upload_id: str) -> FileIO:
        try:
            file = FileIO(self._partial(upload_id), "r+b")
        except FileNotFoundError as error:
            raise Conflict("The upload is being completed, or given up", subject=upload_id) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise Conflict("Another connection is sending this upload; try again", subject=upload_id) from error
        return file

    @contextmanager
    def _locked(self, upload_id: str) -> Iterator[FileIO]:
        with self._lock(upload_id) as file:
            yield file

    def _is_sent(self, upload_id: str) -> bool:
        """Whether another process is writing it: the row says so only when the connection ends."""
        try:
            self._lock(upload_id).close()
        except Conflict:
            return self._partial(upload_id).exists()
        return False

    def _drop(self, session: Session, upload: Upload) -> None:
        session.delete(upload)
        self._remove(upload.id)

    def _remove(self, upload_id: str) -> None:
        self._digests.pop(upload_id, None)
        self._partial(upload_id).unlink(missing_ok=True)

    def _partial(self, upload_id: str) -> Path:
        return self.folder / upload_id


def _missing(upload_id: str) -> NotFound:
    return NotFound("There is no such upload; it may have rested too long", subject=upload_id)


def _modified(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
