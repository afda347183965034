"""What a backup says that it holds, and whether it does: each file's sha256, and rows that find their bytes.

Whoever can write a backup has the hub's secret, which lies in it, so a signature by the hub would prove nothing. What
proves that a backup is the one that was made is the manifest's own sha256, kept elsewhere.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from oakmill.errors import HashMismatch, NotFound
from oakmill.files import file_sha256
from oakmill.storage import naming
from oakmill.storage.blobs import SHA256, key_of

MANIFEST, DATABASE, BLOBS, SECRET = "manifest.json", "hub.sqlite", "blobs", "secret"


@dataclass(frozen=True)
class Manifest:
    """What a backup holds: how many blobs and bytes of them; the sha256 of each file by its place in the folder.

    `files` is None in backups of versions that did not say it.
    """

    made: str
    oakmill: str
    blobs: int
    size: int
    files: dict[str, str] | None = field(default=None, repr=False)

    def write(self, folder: Path) -> None:
        """Write it into a backup's folder, whose last file it is."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """A backup's own.

        Raises:
            NotFound: the folder is none.
        """
        try:
            return cls(**json.loads((folder / MANIFEST).read_text()))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise NotFound(
                f"{folder} is not a backup: its {MANIFEST} cannot be read",
                subject=str(folder),
                remedy="Name a folder that `oakmill backup` has made.",
            ) from error


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of each file of a backup that is being made; a blob's name is its own, and was checked on its way."""
    named = {name: file_sha256(folder / name) for name in (DATABASE, SECRET) if (folder / name).is_file()}
    blobs = sorted(path for path in (folder / BLOBS).glob("*/*/*"))
    return named | {str(path.relative_to(folder)): path.name for path in blobs}


def digest_of(folder: Path) -> str:
    """The sha256 of a backup's manifest, which stands for all of it."""
    return file_sha256(folder / MANIFEST)


def verify(folder: Path, expected: str | None = None) -> Manifest:
    """That a backup is whole: its files are what was written, and each row of its database finds its bytes.

    `expected` is the sha256 of manifest.json, as `oakmill backup` told it.

    Raises:
        NotFound: the folder is no backup.
        HashMismatch: a file is missing or has changed; the database is damaged, or names bytes that are not there.
    """
    manifest = Manifest.read(folder)
    found = digest_of(folder)
    if expected and found != expected.lower():
        raise _damaged(folder, f"its {MANIFEST} is another one: sha256 {found}, not {expected}")
    for name, sha256 in (manifest.files or {}).items():
        _verify_file(folder, name, sha256)
    _verify_database(folder, whole=manifest.files is not None)
    return manifest


def _verify_file(folder: Path, name: str, sha256: str) -> None:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise _damaged(folder, f"{name} is missing")
    if (found := file_sha256(path)) != sha256:
        raise _damaged(folder, f"{name} has changed: its sha256 is {found}, not {sha256}")


def _verify_database(folder: Path, *, whole: bool) -> None:
    """Of an older version's, whose tables are others, only that it can be read."""
    path = folder / DATABASE
    if not path.is_file():
        raise _damaged(folder, f"{DATABASE} is missing")
    try:
        with _reading(path) as session:
            answer = session.scalar(text("pragma integrity_check(1)"))
            if answer != "ok":
                raise _damaged(folder, f"{DATABASE} is damaged: {answer}")
            named = naming.named(session) if whole else set()
    except DatabaseError as error:
        raise _damaged(folder, f"{DATABASE} is no whole database: {error.orig}") from error
    lost = [sha256 for sha256 in named if sha256 and SHA256.fullmatch(sha256) and not _has(folder, sha256)]
    if lost:
        raise _damaged(folder, f"{len(lost)} files that its rows name are not in it, the first is {min(lost)}")


@contextmanager
def _reading(path: Path) -> Iterator[Session]:
    """A database that nothing is written to, not even SQLite's own mark in its head."""
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True))
    try:
        with Session(engine) as session:
            yield session
    finally:
        engine.dispose()


def _has(folder: Path, sha256: str) -> bool:
    return (folder / BLOBS / key_of(sha256)).is_file()


def _damaged(folder: Path, what: str) -> HashMismatch:
    return HashMismatch(
        f"The backup {folder} is not whole: {what}.",
        subject=str(folder),
        remedy="Nothing was restored. Take another backup; the store's own snapshots may have the file.",
    )
