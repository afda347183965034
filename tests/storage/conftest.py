"""The hub's ground for tests: each on SQLite and on PostgreSQL, on a directory and on S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oakmill.settings import Settings
from oakmill.storage.blobs import BlobStore
from oakmill.storage.database import Database
from oakmill.storage.stores import open_store
from oakmill.storage.uploads import Uploads
from tests.databases import of_kind


@pytest.fixture(params=["directory", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A hub's settings, for each kind of store."""
    home = tmp_path / "home"
    if request.param == "directory":
        return Settings(home=home)
    return Settings(home=home, **request.getfixturevalue("s3_store"))


@pytest.fixture(params=["sqlite", "postgres"])
def empty_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without tables, of each kind."""
    sqlite = request.param == "sqlite"
    db = Database(f"sqlite:///{tmp_path}/hub.sqlite3" if sqlite else request.getfixturevalue("postgres_url"))
    yield db
    db.close()


@pytest.fixture(params=["sqlite", "postgres"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with the hub's tables, of each kind."""
    with of_kind(request.param, request, tmp_path) as db:
        yield db


@pytest.fixture
def blobs(settings: Settings) -> BlobStore:
    return open_store(settings)


@pytest.fixture
def uploads(db: Database, blobs: BlobStore, settings: Settings) -> Iterator[Uploads]:
    uploads = Uploads(db, blobs, settings)
    yield uploads
    uploads.close()
