"""The store as a directory of this machine: each blob a read-only file, named into place when it is complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256 as sha256_of
from pathlib import Path

from sqlalchemy.orm import Session

from oakmill import files
from oakmill.errors import HashMismatch, TooLarge
from oakmill.storage.blobs import (
    GRACE,
    INCOMING,
    PIECE,
    SHA256,
    BlobStore,
    Stored,
    Swept,
    copy,
    incoming,
    key_of,
    missing,
)


class DirectoryStore(BlobStore):
    """Blobs as files `ab/cd/<sha256>` below a folder. A crash leaves folders `.incoming-*` in it at most."""

    def __init__(self, folder: Path, lock: Path) -> None:
        super().__init__(lock)
        self.folder = folder

    def put_file(self, path: Path, *, sha256: str | None = None, move: bool = False) -> Stored:
        """Store a file's bytes. Moved within a file system, with a known hash, they are not read.

        Raises:
            HashMismatch: the bytes that were read on the way are not those of `sha256`.
            TooLarge: the disk is full.
        """
        size = path.stat().st_size
        if sha256 and self._refresh(sha256):
            found = sha256
        elif move and sha256 and self._take(path, sha256):
            return Stored(sha256, size)
        else:
            found = self._copy(path, sha256)
        if move:
            path.unlink()
        return Stored(found, size)

    def put_bytes(self, data: bytes) -> Stored:
        """Store bytes.

        Raises:
            TooLarge: the disk is full.
        """
        sha256 = sha256_of(data).hexdigest()
        if not self._refresh(sha256):
            with self._room(), incoming(self.folder) as partial:
                partial.write_bytes(data)
                self._place(partial, sha256)
        return Stored(sha256, len(data))

    def size(self, sha256: str) -> int:
        """How many bytes a blob has.

        Raises:
            NotFound: there is no such blob.
        """
        try:
            return self._path(sha256).stat().st_size
        except FileNotFoundError as error:
            raise missing(sha256) from error

    def local(self, sha256: str) -> Path | None:
        """The blob's file, to be read only; None where there is no such blob."""
        path = self._path(sha256)
        return path if path.is_file() else None

    def delete(self, sha256: str) -> None:
        """Free a blob's bytes; it is no error when they are gone."""
        self._path(sha256).unlink(missing_ok=True)

    def sweep(self, session: Session, older_than: timedelta = GRACE) -> Swept:
        """Free blobs which no row names, and what crashes have left of files on their way in."""
        files.sweep(self.folder, INCOMING, older_than=older_than.total_seconds())
        return super().sweep(session, older_than)

    def _path(self, sha256: str) -> Path:
        return self.folder / key_of(sha256)

    def _pieces(self, sha256: str, start: int, end: int) -> Iterator[bytes]:
        with self._path(sha256).open("rb", buffering=0) as file:
            file.seek(start)
            while start < end and (piece := file.read(min(PIECE, end - start))):
                start += len(piece)
                yield piece

    def listed(self) -> Iterator[tuple[Stored, datetime]]:
        """All blobs of the folder, and when each was put last."""
        for path in self.folder.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"):
            if not SHA256.fullmatch(path.name):
                continue
            status = path.stat()
            yield Stored(path.name, status.st_size), datetime.fromtimestamp(status.st_mtime, UTC)

    def _refresh(self, sha256: str) -> bool:
        """Whether the blob is there; it counts as put now, so that a sweep leaves it alone."""
        try:
            os.utime(self._path(sha256))
        except FileNotFoundError:
            return False
        return True

    def _take(self, path: Path, sha256: str) -> bool:
        try:
            with self._room():
                self._place(path, sha256)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return False  # another file system: it has to be copied
        return True

    def _copy(self, path: Path, expected: str | None) -> str:
        with self._room(), incoming(self.folder) as partial:
            with path.open("rb") as source, partial.open("wb") as target:
                found = copy(source, target)
            if expected not in {None, found}:
                raise HashMismatch(f"{path.name} is not what it was: its sha256 is {found}", subject=str(path))
            if not self._refresh(found):
                self._place(partial, found)
        return found

    def _place(self, path: Path, sha256: str) -> None:
        """Make a complete file the blob: its bytes reach the disk before its name does."""
        target = self._path(sha256)
        made = not target.parent.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o440)
        files.sync(path)
        os.utime(path)
        path.replace(target)
        files.sync(target.parent)
        if made:
            files.sync(target.parent.parent)
            files.sync(self.folder)

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise TooLarge("The hub's disk is full", remedy="Free some of it; the operator knows where.") from error
