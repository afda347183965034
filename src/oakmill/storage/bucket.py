"""The store as an S3 bucket: each blob an object, put in parts which nobody sees before the last one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from oakmill.errors import HashMismatch, StoreUnreachable
from oakmill.files import file_sha256
from oakmill.storage.blobs import GRACE, PIECE, BlobStore, Stored, key_of, missing
from oakmill.storage.database import now
from oakmill.storage.near import Near

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_log = logging.getLogger(__name__)

PART = 8 << 20
PARTS_AT_ONCE = 4  # with PART, the memory that a transfer takes


class BucketStore(BlobStore):
    """Blobs as objects `<prefix>/ab/cd/<sha256>`. A crash leaves parts that nobody sees; let the bucket expire them."""

    def __init__(self, url: str, options: dict[str, str], lock: Path, near: Near | None = None) -> None:
        super().__init__(lock)
        self._near = near
        self.url = url
        plain = options.get("endpoint", "").startswith("http://")
        with self._named():
            config = cast(Any, options)
            self._store: ObjectStore = from_url(url, config=config, client_options={"allow_http": plain})

    def put_file(self, path: Path, *, sha256: str | None = None, move: bool = False) -> Stored:
        """Store a file's bytes.

        Raises:
            HashMismatch: the bytes are not those of `sha256`; it is not looked at when the file is moved.
            StoreUnreachable: the bucket does not answer, or refuses.
        """
        found = sha256 if sha256 and move else file_sha256(path)
        if sha256 not in {None, found}:
            raise HashMismatch(f"{path.name} is not what it was: its sha256 is {found}", subject=str(path))
        stored = Stored(found, path.stat().st_size)
        self._put(stored, path)
        if move:
            path.unlink()
        return stored

    def put_bytes(self, data: bytes) -> Stored:
        """Store bytes.

        Raises:
            StoreUnreachable: the bucket does not answer, or refuses.
        """
        stored = Stored(sha256_of(data).hexdigest(), len(data))
        self._put(stored, data)
        return stored

    def size(self, sha256: str) -> int:
        """How many bytes a blob has.

        Raises:
            NotFound: there is no such blob.
            StoreUnreachable: the bucket does not answer.
        """
        with self._named(sha256):
            return obstore.head(self._store, key_of(sha256))["size"]

    def local(self, sha256: str) -> Path | None:
        """None: an object is no file."""
        return None

    def fetch(self, sha256: str, target: Path) -> None:
        """As of any store; what this machine has fetched lately is not fetched again."""
        key_of(sha256)
        if self._near is None:
            super().fetch(sha256, target)
        else:
            self._near.give(sha256, target, partial(super().fetch, sha256))

    def delete(self, sha256: str) -> None:
        """Free a blob's bytes; it is no error when they are gone.

        Raises:
            StoreUnreachable: the bucket does not answer.
        """
        with self._named():
            obstore.delete(self._store, key_of(sha256))

    def _put(self, stored: Stored, source: Path | bytes) -> None:
        if self._is_young(stored):
            return
        with self._named():
            obstore.put(self._store, key_of(stored.sha256), source, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)

    def _is_young(self, stored: Stored) -> bool:
        """Whether the blob is there and not near its sweeping; an older one is put again, which makes it young."""
        try:
            with self._named():
                found = obstore.head(self._store, key_of(stored.sha256))
        except FileNotFoundError:
            return False
        return found["size"] == stored.size and found["last_modified"] > now() - GRACE / 2

    def _pieces(self, sha256: str, start: int, end: int) -> Iterator[bytes]:
        """By ranges: one long answer would meet the client's time limit when its reader is slow."""
        while start < end:
            stop = min(start + PART, end)
            with self._named(sha256):
                part = memoryview(obstore.get_range(self._store, key_of(sha256), start=start, end=stop))
            for begin in range(0, len(part), PIECE):
                yield bytes(part[begin : begin + PIECE])
            start = stop

    def listed(self) -> Iterator[tuple[Stored, datetime]]:
        """All blobs of the bucket, and when each was put last.

        Raises:
            StoreUnreachable: the bucket does not answer.
        """
        with self._named():
            for some in obstore.list(self._store):
                for found in some:
                    yield Stored(found["path"].rpartition("/")[2], found["size"]), found["last_modified"]

    @contextmanager
    def _named(self, sha256: str = "") -> Iterator[None]:
        """Turn the client's errors into ours; without a blob's name, one that is not there stays FileNotFoundError."""
        try:
            yield
        except FileNotFoundError as error:
            if not sha256:
                raise
            raise missing(sha256) from error
        except (BaseError, OSError, ValueError) as error:
            # Where it is and what it said is for the operator, who reads logs, and not for all who ask the hub.
            _log.warning("the store %s does not do what is asked: %s", self.url, str(error).splitlines()[0][:300])
            raise StoreUnreachable(
                "The hub's store of files does not answer, or refuses.",
                remedy="Try again later. Its operator finds more in the hub's log; the settings are store and "
                "store_options.",
            ) from error
