"""The migrations make the tables that the code speaks of, on both databases, whoever else is at it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

import oakmill.jobs.tables
import oakmill.registry.tables
import oakmill.storage.tables  # noqa: F401 - all tables are to be known
from oakmill.errors import Unavailable
from oakmill.storage.database import Base, Database
from oakmill.storage.migrate import is_current, upgrade


def test_migrations_make_what_the_tables_say(db: Database) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        differences = compare_metadata(context, Base.metadata)
    assert differences == [], "run: python -m tests.storage.new_migration WHAT"


def test_all_tables_are_made(db: Database) -> None:
    assert set(inspect(db.engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}


def test_a_second_upgrade_has_nothing_to_do(empty_db: Database) -> None:
    assert not is_current(empty_db)
    upgrade(empty_db)
    upgrade(empty_db)
    assert is_current(empty_db)


def test_many_may_upgrade_at_once(empty_db: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(upgrade, empty_db) for _ in range(4)]:
            done.result()
    assert is_current(empty_db)


def test_a_database_of_a_newer_oakmill_is_refused_by_name(db: Database) -> None:
    with db.session() as session:
        session.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(Unavailable, match="9999"):
        upgrade(db)


def test_foreign_keys_hold_after_an_upgrade(db: Database) -> None:
    if not db.is_sqlite:
        pytest.skip("only SQLite switches them off")
    with db.engine.connect() as connection:
        assert connection.exec_driver_sql("pragma foreign_keys").scalar() == 1
