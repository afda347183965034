"""The database: moments keep their zone, addresses find their driver, a transaction is whole or nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy.exc import StatementError

from oakmill.errors import Unavailable
from oakmill.settings import Settings
from oakmill.storage.database import Database
from oakmill.storage.migrate import upgrade
from oakmill.storage.tables import Blob


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = Database.of(Settings(home=tmp_path / "a ?home%"))
    upgrade(db)
    return db


def test_a_moment_comes_back_in_utc(db: Database) -> None:
    moment = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=5)))
    with db.session() as session:
        session.add(Blob(sha256="a", size=1, created=moment))
    with db.reading() as session:
        assert session.get_one(Blob, "a").created == moment
        assert session.get_one(Blob, "a").created.tzinfo is UTC


def test_a_moment_without_a_zone_is_refused(db: Database) -> None:
    with pytest.raises(StatementError, match="without a zone"), db.session() as session:
        session.add(Blob(sha256="a", size=1, created=datetime(2026, 1, 2)))


def test_what_fails_in_the_middle_never_happened(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.session() as session:
        session.add(Blob(sha256="a", size=1))
        session.flush()
        raise ZeroDivisionError
    with db.reading() as session:
        assert session.get(Blob, "a") is None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_is_spoken_to_by_our_driver(scheme: str) -> None:
    assert Database(f"{scheme}://hub@somewhere/hub").engine.driver == "psycopg"


def test_a_database_without_a_driver_is_named() -> None:
    with pytest.raises(Unavailable, match="driver"):
        Database("nonsense://somewhere")
