"""Brings the hub's database to the tables of this Oakmill, one numbered step after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from oakmill.errors import Unavailable
from oakmill.storage.database import Database

FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x0A_4B_31_9B


def upgrade(db: Database) -> None:
    """Run the steps that are missing, in one transaction: a crash leaves the database as it was.

    Any number of processes may do it at once; the others wait for the first, then find nothing to do.

    Raises:
        Unavailable: the database was written by a newer Oakmill.
    """
    config = _config()
    with _alone(db) as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise Unavailable(
                f"The database cannot be brought up to date: {error}",
                remedy="It was probably written by a newer Oakmill: run that one, or restore a backup.",
            ) from error


def is_current(db: Database) -> bool:
    """Whether no step is missing."""
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == revisions()[-1]


def revisions() -> list[str]:
    """The numbers of all steps, in order."""
    return [step.revision for step in steps()]


def steps() -> list[Script]:
    """All steps, in order; each one's folder is its kind."""
    return list(ScriptDirectory.from_config(_config()).walk_revisions())[::-1]


def _config() -> Config:
    config = Config()
    folder = str(FOLDER).replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.set_main_option("version_locations", f"{folder}/before\n{folder}/after")
    config.set_main_option("path_separator", "newline")
    return config


@contextmanager
def _alone(db: Database) -> Iterator[Connection]:
    """A transaction that no other upgrade runs beside."""
    with db.engine.connect() as connection:
        if db.is_sqlite:
            _keep_children(connection)
        with connection.begin():
            if not db.is_sqlite:
                connection.execute(text(f"select pg_advisory_xact_lock({_LOCK})"))
            yield connection
            if db.is_sqlite:
                _check_children(connection)


def _keep_children(connection: Connection) -> None:
    """SQLite changes a table by replacing it; with foreign keys on, dropping the old one deletes the rows below it."""
    driver = connection.connection.driver_connection
    assert driver is not None  # it was opened just now
    driver.execute("pragma foreign_keys=off")
    if connection.engine.url.database:
        connection.detach()  # never back to the pool without its foreign keys


def _check_children(connection: Connection) -> None:
    orphans = connection.exec_driver_sql("pragma foreign_key_check").first()
    if orphans is not None:
        raise Unavailable(f"A migration would leave rows of {orphans[0]} without what they belong to; it was undone")
