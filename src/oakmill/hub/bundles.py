"""Several files of the store as one zip, which is made while it is sent: it lies nowhere, whatever its size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from oakmill.storage.blobs import BlobStore, damaged

_LARGE = 1 << 31
"""From here on a zip's entry has the longer fields."""


class _Pipe:
    """What is written and not yet sent; a zip that can go nowhere back."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        """Take bytes."""
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        """Who reads it goes on."""

    def taken(self) -> bytes:
        """All that was written since."""
        data, self._waiting = bytes(self._waiting), bytearray()
        return data


def zipped(
    store: BlobStore, files: Iterable[tuple[str, str, int]], first: Mapping[str, bytes] | None = None
) -> Iterator[bytes]:
    """The zip in pieces; `files` are each its name in the zip, its sha256 in the store, and its size in bytes.

    What is packed already, as archives and models are, is not packed again. `first` are small files by their names,
    which lie nowhere and come before the others.

    Raises:
        BlobDamaged: the store's bytes have changed; the zip has no end then.
        NotFound, StoreUnreachable: as `BlobStore.stream`.
    """
    pipe = _Pipe()
    with ZipFile(pipe, "w", ZIP_STORED) as archive:
        for name, data in (first or {}).items():
            archive.writestr(ZipInfo(name), data)
            yield pipe.taken()
        for name, sha256, size in files:
            digest = hashlib.sha256()
            with archive.open(ZipInfo(name), "w", force_zip64=size >= _LARGE) as entry:
                for piece in store.stream(sha256):
                    digest.update(piece)
                    entry.write(piece)
                    yield pipe.taken()
            if digest.hexdigest() != sha256:
                raise damaged(sha256)
    yield pipe.taken()
