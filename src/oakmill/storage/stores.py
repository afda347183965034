"""Opens the store that the settings name: a directory of this machine, or an S3 bucket."""

from __future__ import annotations

from pathlib import Path

from oakmill.files import private_folder
from oakmill.settings import Settings
from oakmill.storage.blobs import BlobStore
from oakmill.storage.directory import DirectoryStore
from oakmill.storage.near import Near


def open_store(settings: Settings) -> BlobStore:
    """A bucket for `s3://...`, else a directory.

    Raises:
        StoreUnreachable: the store's address or its options make no sense.
    """
    lock = private_folder(settings.hub) / "blobs.lock"
    if settings.store and "://" in settings.store:
        from oakmill.storage.bucket import BucketStore

        near = Near(settings.hub / "near", settings.near_mb << 20) if settings.near_mb else None
        return BucketStore(settings.store, settings.store_options, lock, near)
    return DirectoryStore(Path(settings.store) if settings.store else settings.hub / "blobs", lock)
