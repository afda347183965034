"""The migrations make the tables that the code speaks of, on both databases, whoever else is at it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from packaging.version import Version
from sqlalchemy import inspect, text

import oakmill.jobs.tables
import oakmill.registry.tables
import oakmill.storage.tables  # noqa: F401 - all tables are to be known
from oakmill import __version__
from oakmill.errors import Unavailable
from oakmill.storage.database import Base, Database
from oakmill.storage.migrate import _config, is_current, steps, upgrade
from tests.storage.migration_rules import faults, tables


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


def test_a_database_of_a_newer_oakmill_is_refused_by_name(empty_db: Database) -> None:
    upgrade(empty_db)
    with empty_db.session() as session:
        session.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(Unavailable, match="9999"):
        upgrade(empty_db)


def test_a_step_in_before_only_adds(empty_db: Database) -> None:
    """Else workers, which go on with the code that they have, would fail while a hub is upgraded."""
    with empty_db.engine.connect() as connection:
        config = _config()
        config.attributes["connection"] = connection
        for step in steps():
            before = tables(connection)
            command.upgrade(config, step.revision)
            if Path(step.path).parent.name == "before":
                assert list(faults(before, tables(connection))) == [], step.path


def test_a_step_in_after_comes_a_release_after_the_last_use() -> None:
    assert {Path(step.path).parent.name for step in steps()} <= {"before", "after"}
    for step in steps():
        if Path(step.path).parent.name == "after":
            assert Version(step.module.unused_since) < Version(__version__), step.path


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("alter table jobs add column cost integer", None),
        ("alter table jobs add column cost integer not null default 0", None),
        ("create table costs (id integer primary key, what text not null)", None),
        ("create index jobs_by_name on jobs (name)", None),
        ("alter table jobs drop column progress", "jobs.progress is gone"),
        ("alter table jobs rename column progress to told", "jobs.progress is gone"),
        ("drop table log_lines", "the table log_lines is gone"),
        ("create unique index one_name on jobs (name)", "jobs: new rule: unique"),
    ],
)
def test_what_only_adds_is_told_from_what_does_not(db: Database, change: str, fault: str | None) -> None:
    with db.engine.connect() as connection:
        before = tables(connection)
        connection.execute(text(change))
        found = list(faults(before, tables(connection)))
        connection.rollback()
    assert found == [] if fault is None else any(line.startswith(fault) for line in found)


def test_foreign_keys_hold_after_an_upgrade(empty_db: Database) -> None:
    if not empty_db.is_sqlite:
        pytest.skip("only SQLite switches them off")
    upgrade(empty_db)
    with empty_db.engine.connect() as connection:
        assert connection.exec_driver_sql("pragma foreign_keys").scalar() == 1
