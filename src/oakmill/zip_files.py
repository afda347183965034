"""What every reader of a zip that nobody vouches for asks of it: which packing it takes, and what damage looks like."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, LookupError, RecursionError)
BEYOND_REASON = "list of contents is beyond reason"


class ModestFile(io.FileIO):
    """A file that is never read in pieces so large that only an attack can ask for them: then `refusal` is raised.

    A zip's list of contents is read into memory whole.
    """

    def __init__(self, path: Path, most_bytes: int, refusal: Exception) -> None:
        super().__init__(path)
        self._most, self._refusal = most_bytes, refusal

    def read(self, size: int | None = -1, /) -> bytes:
        """Its next bytes, no more than `most_bytes` at once."""
        if size is None or size > self._most:
            raise self._refusal
        return super().read(size)
