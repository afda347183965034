"""The hub's files by content: bytes go in whole, are known by their sha256, and are never changed.

Where they lie is one of two subclasses: a directory of this machine (`directory.py`) or an S3 bucket (`bucket.py`);
`stores.py` opens it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from sqlalchemy.orm import Session

from oakmill.errors import BlobDamaged, NotFound, Unavailable
from oakmill.files import aside, file_sha256
from oakmill.storage import naming
from oakmill.storage.database import now

PIECE = 1 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")
GRACE = timedelta(days=1)
"""How old a blob that no row names is when it is freed: longer than from its arrival to its being named."""
INCOMING = ".incoming-"
MOST = 1000  # blobs that one sweep frees: it keeps writers of the database waiting


@dataclass(frozen=True)
class Stored:
    """Bytes that are complete in the store."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Swept:
    """What a sweep has freed."""

    count: int = 0
    size: int = 0


class BlobStore(ABC):
    """The store. A blob is there whole or not at all; what a crash leaves has no row, and is swept."""

    def __init__(self, lock: Path) -> None:
        self._lock = lock

    @abstractmethod
    def put_file(self, path: Path, *, sha256: str | None = None, move: bool = False) -> Stored:
        """Store a file's bytes; `sha256` is their hash where the caller has it. `move` gives the file away.

        Raises:
            HashMismatch: the bytes that were read on the way are not those of `sha256`.
            TooLarge: the store is full.
            StoreUnreachable: the bucket does not answer, or refuses.
        """

    @abstractmethod
    def put_bytes(self, data: bytes) -> Stored:
        """Store bytes. Raises as `put_file`."""

    @abstractmethod
    def size(self, sha256: str) -> int:
        """How many bytes a blob has.

        Raises:
            NotFound: there is no such blob.
            StoreUnreachable: the bucket does not answer.
        """

    @abstractmethod
    def local(self, sha256: str) -> Path | None:
        """The blob as a file of this machine, to be read only; None where the store is a bucket or has no such blob."""

    @abstractmethod
    def delete(self, sha256: str) -> None:
        """Free a blob's bytes; it is no error when they are gone. `sweep` is who knows which ones are not needed."""

    @abstractmethod
    def _pieces(self, sha256: str, start: int, end: int) -> Iterator[bytes]: ...

    @abstractmethod
    def listed(self) -> Iterable[tuple[Stored, datetime]]:
        """All blobs of the store, and when each was put last.

        Raises:
            StoreUnreachable: the bucket does not answer.
        """

    def has(self, sha256: str) -> bool:
        """Whether a blob is there, complete."""
        try:
            self.size(sha256)
        except NotFound:
            return False
        return True

    def stream(self, sha256: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `end`, in pieces of a megabyte.

        Raises:
            NotFound: there is no such blob; at once, not at the first piece.
            StoreUnreachable: the bucket does not answer.
        """
        size = self.size(sha256)
        return self._pieces(sha256, start, size if end is None else min(end, size))

    def fetch(self, sha256: str, target: Path) -> None:
        """Make a blob the file `target`: a hard link where one can be, to be read only. The bytes are checked.

        Raises:
            NotFound: there is no such blob.
            BlobDamaged: the store's bytes have changed since they were stored.
            StoreUnreachable: the bucket does not answer.
        """
        with incoming(target.parent) as partial:
            local = self.local(sha256)
            if local is None or not _link(local, partial):
                with partial.open("wb") as file:
                    file.writelines(self.stream(sha256))
            if file_sha256(partial) != sha256:
                raise damaged(sha256)
            partial.replace(target)

    def check(self, sha256: str) -> None:
        """Read a blob whole.

        Raises:
            NotFound: there is no such blob.
            BlobDamaged: the store's bytes have changed since they were stored.
            StoreUnreachable: the bucket does not answer.
        """
        digest = hashlib.sha256()
        for piece in self.stream(sha256):
            digest.update(piece)
        if digest.hexdigest() != sha256:
            raise damaged(sha256)

    def record(self, session: Session, stored: Stored) -> None:
        """Enter a blob, in the transaction that names it; whoever names bytes calls this, also for ones long stored.

        Raises:
            Unavailable: the bytes were freed between being stored and being named.
        """
        naming.enter(session, stored.sha256, stored.size)
        if not self.has(stored.sha256):
            raise Unavailable(
                f"The bytes {stored.sha256[:12]} are not in the store; they were freed meanwhile",
                subject=stored.sha256,
                remedy="Send the file again.",
            )

    def sweep(self, session: Session, older_than: timedelta = GRACE) -> Swept:
        """Free blobs which no row names, at most a thousand; call again while it frees that many.

        The session must be fresh: the store is listed before its transaction begins. A crash leaves rows of bytes
        that are gone and named by nothing; the next sweep removes them.
        """
        cutoff = now() - older_than
        listed = {stored.sha256: (stored.size, put) for stored, put in self.listed()}
        with self._alone() as alone:
            if not alone:
                return Swept()
            young = {sha256 for sha256, (_, put) in listed.items() if put >= cutoff}
            free = naming.unnamed(session, set(listed), cutoff) - young
            chosen = sorted(free)[:MOST]
            naming.forget(session, chosen)
            for sha256 in chosen:
                self.delete(sha256)
        sizes = [listed[sha256][0] for sha256 in chosen if sha256 in listed]
        return Swept(len(sizes), sum(sizes))

    @contextmanager
    def held(self) -> Iterator[None]:
        """While it is open, no sweep of this machine frees anything: a backup reads in peace."""
        with self._lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        with self._lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True


def key_of(sha256: str) -> str:
    """A blob's place in the store.

    Raises:
        NotFound: it is no sha256, so there is no such blob; never a path that somebody else chose.
    """
    if not SHA256.fullmatch(sha256):
        raise missing(sha256)
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


def copy(source: IO[bytes], target: IO[bytes]) -> str:
    """Copy a stream; the sha256 of what was copied."""
    digest = hashlib.sha256()
    while piece := source.read(PIECE):
        digest.update(piece)
        target.write(piece)
    return digest.hexdigest()


@contextmanager
def incoming(folder: Path) -> Iterator[Path]:
    """A place in `folder` for a file on its way in, removed at the end. A crash leaves a folder `.incoming-*`."""
    with aside(folder, INCOMING) as place:
        yield place / "file"


def missing(sha256: str) -> NotFound:
    """The error for a blob that is not there."""
    return NotFound(f"The store has no bytes {sha256[:12]}", subject=sha256)


def damaged(sha256: str) -> BlobDamaged:
    """The error for a blob whose bytes are others."""
    return BlobDamaged(
        f"The bytes {sha256[:12]} have changed since they were stored",
        subject=sha256,
        remedy="Check the disk; then send the file again, or restore it from a backup.",
    )


def _link(source: Path, target: Path) -> bool:
    with suppress(OSError):  # another file system, or one without hard links: the caller copies
        os.link(source, target)
        return True
    return False
