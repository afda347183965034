"""Takes bytes from the network to a file: hashed, limited, off the event loop, and flat in memory."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import shutil
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from oakmill.errors import TooLarge

if TYPE_CHECKING:
    from hashlib import _Hash

BATCH = 1 << 20  # written and hashed in one go: fewer turns between threads than there are pieces
RESERVE = 256 << 20  # of the disk, left free for the database and for the work of others
_LOOK_EVERY = 64 << 20


@dataclass(frozen=True)
class Spooled:
    """A file that came in one go, complete: to be moved into the store, or to be discarded."""

    path: Path
    sha256: str
    size: int

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


class Sink:
    """A file that grows at its end, and the hash of all that is in it. One thread writes; any may close it."""

    def __init__(self, file: FileIO, digest: _Hash, *, limit: int, name: str) -> None:
        self.position = file.seek(0, 2)
        self.digest = digest
        self._file = file
        self._limit = limit
        self._name = name
        self._turn = threading.Lock()
        self._looked = self.position - _LOOK_EVERY

    def write(self, batch: list[bytes]) -> None:
        """Add a batch; what is refused leaves the file as it was. A sink that was closed takes nothing more.

        Raises:
            TooLarge: the file becomes larger than its limit, or the disk is full.
        """
        data = batch[0] if len(batch) == 1 else b"".join(batch)
        with self._turn:
            if self._file.closed:
                return
            self._check(len(data))
            try:
                self._write_all(data)
            except OSError as error:
                self._file.truncate(self.position)
                self._file.seek(self.position)
                raise full(error, self._name) from error
            self.digest.update(data)
            self.position += len(data)

    def close(self) -> None:
        """Close the file, after the batch that is being written."""
        with self._turn:
            self._file.close()

    def _check(self, more: int) -> None:
        if self.position + more > self._limit:
            raise TooLarge(f"{self._name} is larger than the {self._limit} bytes it may have", subject=self._name)
        if self.position - self._looked >= _LOOK_EVERY:
            self._looked = self.position
            check_room(Path(str(self._file.name)).parent, more, self._name)

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]


async def pump(chunks: AsyncIterator[bytes], sink: Sink, pool: Executor) -> None:
    """Write all chunks, and close the sink. While one batch is being written, the next is read; no more is held.

    What came before a connection broke is written too.

    Raises:
        TooLarge: as `Sink.write`.
    """
    loop = asyncio.get_running_loop()
    held: list[bytes] = []
    size = 0
    writing: asyncio.Future[None] | None = None
    try:
        try:
            async for chunk in chunks:
                held.append(bytes(chunk))
                size += len(chunk)
                if size >= BATCH:
                    if writing is not None:
                        await writing
                    writing = loop.run_in_executor(pool, sink.write, held)
                    held, size = [], 0
        finally:
            if writing is not None:
                await writing
            if held:
                await loop.run_in_executor(pool, sink.write, held)
    finally:
        sink.close()


async def receive(chunks: AsyncIterator[bytes], path: Path, pool: Executor, *, limit: int, name: str) -> Spooled:
    """Write all chunks to the new file `path`. When anything is raised the file is gone; a crash leaves it.

    Raises:
        TooLarge: as `Sink.write`.
    """
    sink = Sink(FileIO(path, "xb"), hashlib.sha256(), limit=limit, name=name)
    complete = False
    try:
        await pump(chunks, sink, pool)
        complete = True
    finally:
        if not complete:
            path.unlink(missing_ok=True)
    return Spooled(path, sink.digest.hexdigest(), sink.position)


def check_room(folder: Path, size: int, name: str) -> None:
    """See that the disk has room for `size` more bytes.

    Raises:
        TooLarge: it has not, beyond what is left free for others.
    """
    free = shutil.disk_usage(folder).free - RESERVE
    if size > free:
        raise TooLarge(
            f"{name} does not fit: the hub's disk has {max(free, 0) >> 20} MB to give",
            subject=name,
            remedy="Delete what is not needed, or ask the operator for more disk.",
        )


def full(error: OSError, name: str) -> Exception:
    """The error for a write that failed: named where the disk is full, else as it is."""
    if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return error
    return TooLarge(
        f"{name} does not fit: the hub's disk is full",
        subject=name,
        remedy="Delete what is not needed, or ask the operator for more disk; then go on where it stopped.",
    )
