"""Which workers of this hub's folder live: each holds the lock of a file for as long as it does, whatever ends it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from oakmill.files import private_folder
from oakmill.jobs import queue
from oakmill.settings import Settings
from oakmill.storage.database import Database

FOLDER = "workers"
_DRAFT = ".draft-"


@contextmanager
def present(settings: Settings, name: str) -> Iterator[None]:
    """Say that this process is the worker of that name, for the time of the block."""
    folder = private_folder(settings.hub / FOLDER)
    draft, path = folder / f"{_DRAFT}{name}", folder / name
    handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        flock(handle, LOCK_EX)
        draft.rename(path)  # by its own name it is locked from the start
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def take_up(settings: Settings, db: Database) -> list[str]:
    """When a hub starts, queue again what its workers of before were at: they ended with it, and cannot tell.

    No lease is waited for, and it costs the jobs no attempt. Returns their identifiers.
    """
    gone = list(_gone(private_folder(settings.hub / FOLDER)))
    if not gone:
        return []
    with db.session() as session:
        found = queue.take_back(session, [path.name for path in gone])
        queue.expire(session, timedelta(hours=settings.upload_hours))
    for path in gone:
        path.unlink(missing_ok=True)
    return found


def _gone(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(_DRAFT):
            continue
        with suppress(OSError):  # it is somebody's, or has just gone
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                flock(handle, LOCK_EX | LOCK_NB)
                yield path
            finally:
                os.close(handle)
