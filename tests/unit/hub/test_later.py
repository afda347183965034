"""Notes are written soon and together; one that cannot be written keeps no other out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from oakmill.hub.later import MOST, Later
from oakmill.registry import audit, keys
from oakmill.registry.callers import LOCAL
from oakmill.registry.tables import AuditEntry
from oakmill.storage.database import Database
from tests.databases import sqlite_at


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with closing(sqlite_at(tmp_path / "hub.sqlite")) as found:
        yield found


def entries(db: Database) -> int:
    with db.reading() as session:
        return session.scalar(select(func.count()).select_from(AuditEntry)) or 0


def note(session: Session) -> None:
    audit.record(session, LOCAL, "file.download", "aimf_1")


def test_notes_are_written_in_one_go_and_those_of_one_name_once(db: Database) -> None:
    later = Later(db)
    for _ in range(3):
        later.note(note)
        later.note(note, once="the same")
    assert entries(db) == 0
    later.write()
    assert entries(db) == 4


def test_what_no_database_takes_keeps_no_other_out(db: Database) -> None:
    later = Later(db)
    later.note(lambda session: audit.record(session, LOCAL, "key.refused", "\ud800"))
    later.note(note)
    later.write()
    later.write()
    assert entries(db) == 1


@pytest.mark.parametrize("raw", ["\0" * 20, "\ud800" * 20, "oak_é", ""])
def test_a_key_that_is_none_is_noted_whatever_it_holds(db: Database, raw: str) -> None:
    later = Later(db)
    later.note(lambda session: keys.refused(session, raw, "127.0.0.1"))
    later.write()
    assert entries(db) == 1


def test_notes_wait_for_a_database_that_is_away_and_are_bounded(db: Database) -> None:
    later, away = Later(db), [True]

    def write(session: Session) -> None:
        if away:
            raise OperationalError("", None, OSError())
        note(session)

    for _ in range(MOST + 5):
        later.note(write)
    later.write()
    assert entries(db) == 0
    away.clear()
    later.close()
    assert entries(db) == MOST
