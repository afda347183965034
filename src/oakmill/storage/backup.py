"""A backup is a folder: the database as one SQLite file, the blobs, the hub's secret, and a manifest.

It is made while the hub runs. Whatever the hub's database and store are, the backup is the same, so it also moves a
hub from SQLite to PostgreSQL and from a directory to S3. Calibration sets and toolchains of the machine are not in it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import inspect, literal, select, table

from oakmill import __version__
from oakmill.errors import OutputExists, Unavailable
from oakmill.files import aside, atomic_folder, held
from oakmill.settings import Settings
from oakmill.storage import naming
from oakmill.storage.blobs import BlobStore, key_of
from oakmill.storage.database import Database, now
from oakmill.storage.manifest import BLOBS, DATABASE, SECRET, Manifest, digests, verify
from oakmill.storage.migrate import is_current, upgrade
from oakmill.storage.stores import open_store
from oakmill.storage.tables import Blob
from oakmill.storage.transfer import transfer

_DRAFT = ".backup-"
_BEGINNING_SECONDS = 10
"""From a draft's making to its being held: what is younger may be another backup's."""


def backup(settings: Settings, target: Path) -> Manifest:
    """Copy the hub as it is at this moment into the new folder `target`; each blob's bytes are checked.

    On the store's own file system blobs are hard links: they cost no room, survive deletion, and share the disk's
    fate; copy the folder elsewhere. A crash leaves a folder `.backup-*` beside the target, which a backup to that
    place removes. On PostgreSQL with workers on other machines, let no sweep run there meanwhile.

    Raises:
        OutputExists: the target is there already.
        Unavailable: the hub's database is not there, or is not of this Oakmill.
        BlobDamaged: bytes of the store have changed since they were stored.
        NotFound: bytes that a row names are not in the store.
        StoreUnreachable: the bucket does not answer.
    """
    if target.exists():
        raise OutputExists(f"{target} is there already", subject=str(target), remedy="Name a new folder.")
    _sweep(target.parent)
    blobs = open_store(settings)
    with _opened(settings) as db, atomic_folder(target, mode=0o700, prefix=_DRAFT) as draft, blobs.held(), held(draft):
        _check_current(db)
        _copy_database(db, draft / DATABASE)
        stored = _copy_blobs(blobs, draft)
        if (settings.hub / SECRET).is_file():
            shutil.copy(settings.hub / SECRET, draft / SECRET)
        made = now().isoformat(timespec="seconds")
        manifest = Manifest(made, __version__, len(stored), sum(stored), digests(draft))
        manifest.write(draft)
        os.sync()  # before it is said to be there
    os.sync()
    return manifest


def _sweep(folder: Path) -> None:
    """Remove what killed backups left: a draft that no process holds."""
    for path in folder.glob(f"{_DRAFT}*"):
        with suppress(OSError), held(path / "made" if (path / "made").is_dir() else path):
            if time.time() - path.stat().st_mtime > _BEGINNING_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def restore(settings: Settings, source: Path, expected: str | None = None) -> Manifest:
    """Make the hub of these settings, which must be empty, the one of a backup. Killed in between, it is run again.

    Nothing is written before all of the backup was verified; `expected` is as there.

    Raises:
        NotFound: the source is not a backup.
        OutputExists: the hub is not empty.
        HashMismatch: the backup is not whole, or is another one.
        Unavailable: the backup was made by a newer Oakmill.
        StoreUnreachable: the bucket does not answer.
    """
    manifest = verify(source, expected)
    blobs = open_store(settings)
    with _opened(settings) as db:
        _check_empty(db)
        for path in sorted((source / BLOBS).glob("*/*/*")):
            blobs.put_file(path, sha256=path.name)
        if (source / SECRET).is_file():
            shutil.copy(source / SECRET, settings.hub / SECRET)
        _restore_database(source / DATABASE, db, settings.hub)
    os.sync()
    return manifest


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    with closing(Database.of(settings)) as db:
        yield db


def _check_current(db: Database) -> None:
    if not is_current(db):
        raise Unavailable("The hub's database is not one of this Oakmill", remedy="Start `oakmill serve` once first.")


def _check_empty(db: Database) -> None:
    there = set(inspect(db.engine).get_table_names()) & {"teams", "blobs"}
    with db.reading() as session:
        if any(
            session.execute(select(literal(1)).select_from(table(name)).limit(1)).first() is not None for name in there
        ):
            address = db.engine.url.render_as_string()  # without its password
            raise OutputExists("This hub is not empty", subject=address, remedy="Use a new home, or a new database.")


def _copy_database(db: Database, path: Path) -> None:
    if db.is_sqlite:
        _copy_sqlite(db, path)
        return
    with closing(Database.at(path)) as copy:
        upgrade(copy)
        transfer(db, copy)


def _copy_sqlite(db: Database, path: Path) -> None:
    """By SQLite's own way: consistent while others write."""
    with closing(sqlite3.connect(path)) as copy, db.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None  # it was opened just now
        driver.backup(copy)


def _copy_blobs(blobs: BlobStore, draft: Path) -> list[int]:
    """All that the copied database knows; garbage may be gone. Their sizes."""
    with closing(Database.at(draft / DATABASE)) as copy, copy.reading() as session:
        named = naming.named(session)
        known = dict(session.execute(select(Blob.sha256, Blob.size)).all())
    wanted = {sha256: size for sha256, size in known.items() if sha256 in named or blobs.has(sha256)}
    for sha256 in wanted:
        target = draft / BLOBS / key_of(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        blobs.fetch(sha256, target)
    return list(wanted.values())


def _restore_database(source: Path, db: Database, folder: Path) -> None:
    """Through a copy, which is brought to this Oakmill's tables first, for the backup may be an older one's."""
    with aside(folder, ".restore-") as place:
        path = place / DATABASE
        shutil.copy(source, path)
        with closing(Database.at(path)) as copy:
            upgrade(copy)
            if not db.is_sqlite:
                upgrade(db)
                transfer(copy, db)
                return
            db.close()  # or its next connection would find the old file
        path.replace(Path(db.engine.url.database or ""))
