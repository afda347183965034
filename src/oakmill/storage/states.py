"""Where an upload stands; for clients too, so without tables."""

from __future__ import annotations

from enum import StrEnum


class UploadStatus(StrEnum):
    """Where an upload stands."""

    OPEN = "open"  #: takes bytes
    COMPLETE = "complete"  #: all bytes are in the store, under `sha256`
    FAILED = "failed"  #: refused; `error` says why
