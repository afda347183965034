"""What every reader of a tar that nobody vouches for asks of it: each byte is counted, and each header is modest."""

from __future__ import annotations

import io
import math
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Self

HEADER_BYTES = 1 << 20  # of one member: its name and attributes are read into memory whole
CHUNK = 1 << 16
DAMAGE = (tarfile.TarError, EOFError, ValueError, RecursionError)

Member = tuple[tarfile.TarFile, tarfile.TarInfo]


def members(
    stream: IO[bytes] | io.BufferedIOBase, count: Callable[[int], None], refusal: Exception
) -> Iterator[Member]:
    """Each member of a tar with the tar, in order; `count` is told of all bytes that come out of the stream.

    Raises:
        TarError: a header is damaged, or the tar is cut off.
        Exception: `refusal`, where a header is larger than any has to be; or what `count` raises.
    """
    metered = _Metered(stream, count, refusal)  # from here on: opening a tar reads its first header
    with tarfile.open(fileobj=metered, mode="r|", bufsize=CHUNK, tarinfo=_Header) as archive:
        while member := archive.next():
            metered.allowance = math.inf
            yield archive, member
            _skip_to_next(archive)
            metered.allowance = HEADER_BYTES


def _skip_to_next(archive: tarfile.TarFile) -> None:
    """Pass over what nobody has read of a member, all but its last byte: that it is there, tarfile sees to."""
    assert archive.fileobj is not None
    if archive.offset > archive.fileobj.tell():
        archive.fileobj.seek(archive.offset - 1)


class _Metered(io.RawIOBase):
    """A stream whose every byte is counted; between two members it gives no more than a header takes."""

    def __init__(self, inner: IO[bytes] | io.BufferedIOBase, count: Callable[[int], None], refusal: Exception) -> None:
        self.allowance: float = HEADER_BYTES
        self._inner, self._count, self._refusal = inner, count, refusal

    def read(self, size: int = -1) -> bytes:
        data = self._inner.read(size)
        self._count(len(data))
        self.allowance -= len(data)
        if self.allowance < 0:
            raise self._refusal
        return data


class _Header(tarfile.TarInfo):
    """A tar member; tarfile itself takes a header that is damaged or cut off for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        """The next member.

        Raises:
            ReadError: the header is damaged, or there is neither one nor the mark of the end.
        """
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the regular end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"a header is damaged or cut off: {error}") from error
