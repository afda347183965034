"""Databases with the hub's tables: made once by a process of tests, for that takes longer than most tests do."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

import oakmill.jobs.tables
import oakmill.storage.tables  # noqa: F401 - all tables are to be there
from oakmill.storage.database import Base, Database
from oakmill.storage.migrate import upgrade


def sqlite_at(path: Path) -> Database:
    """A new database in that file, with all tables and no row."""
    shutil.copyfile(_made(), path)
    return Database.at(path)


@contextmanager
def of_kind(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Database]:
    """A database with all tables and no row: "sqlite" in the folder, or "postgres"."""
    is_file = kind == "sqlite"
    db = sqlite_at(folder / "hub.sqlite3") if is_file else Database(request.getfixturevalue("postgres_tables"))
    yield db
    db.close()


@cache
def _made() -> Path:
    folder = tempfile.mkdtemp(prefix="oakmill-tables-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with_tables(Database.at(Path(folder) / "hub.sqlite")).close()
    return Path(folder) / "hub.sqlite"


def with_tables(db: Database) -> Database:
    """The database, empty until now, with all tables."""
    upgrade(db)
    return db


def emptied(db: Database) -> Database:
    """The database, on PostgreSQL, without its rows: to delete none is a hundred times quicker than to make tables."""
    with db.engine.begin() as connection:
        connection.exec_driver_sql("set local session_replication_role = replica")  # whichever row refers to which
        for table in Base.metadata.tables.values():
            connection.execute(table.delete())
    return db
