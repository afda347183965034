"""The hub's database: one engine, short transactions, SQLite by default and PostgreSQL by URL."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, DateTime, Dialect, Engine, TypeDecorator, create_engine, event, func, select
from sqlalchemy.exc import NoSuchModuleError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from oakmill import files
from oakmill.errors import Unavailable
from oakmill.settings import Settings

_IN_MEMORY = "sqlite://"
_POOL: dict[str, Any] = {"pool_size": 10, "max_overflow": -1}
"""A thread that waits for a connection may be the one that its holder waits for, so none waits. How many are open at
once is for those to bound who open them."""
_SQLITE = (
    # Who writes next is a draw, so that one of many may lose it for long; first, for the others may have to wait too.
    "pragma busy_timeout=30000",
    "pragma journal_mode=wal",
    "pragma synchronous=full",  # what was acknowledged outlives a power cut; normal would lose the last commits
    "pragma foreign_keys=on",
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite hands back naive ones; what comes out here always knows its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Stored as UTC; a naive moment is refused, for nobody knows what it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """With its zone."""
        if not isinstance(value, datetime):
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables of the hub."""


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def moment(session: Session) -> datetime:
    """This moment by the database's clock, where it has one of its own: machines' clocks differ."""
    if session.get_bind().dialect.name != "postgresql":
        return now()
    found: datetime = session.scalars(select(func.clock_timestamp())).one()
    return found


class Database:
    """The engine and its sessions. Whoever begins a session ends it in one place: commit at its end, or nothing."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._readers = sessionmaker(self.engine.execution_options(reading=True), expire_on_commit=False)

    @classmethod
    def of(cls, settings: Settings) -> Database:
        """The database that the settings name, else a file in the hub's folder, which is made.

        Raises:
            Unavailable: the driver for such a database is not installed.
        """
        if settings.database:
            return cls(settings.database)
        path = files.private_folder(settings.hub) / "hub.sqlite"
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # what SQLite makes beside it is as open
        if path.stat().st_uid == os.geteuid():
            path.chmod(0o600)
        return cls.at(path)

    @classmethod
    def at(cls, path: Path) -> Database:
        """The SQLite database in a file; the file is made by the first write."""
        return cls(URL.create("sqlite", database=str(path)).render_as_string(hide_password=False))

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file on this machine."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back when something is raised."""
        with self._sessions.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads, and waits for no writer."""
        with self._readers() as session:
            yield session

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    try:
        engine = create_engine(
            _with_driver(url),
            pool_pre_ping=not url.startswith("sqlite"),
            json_serializer=as_json,
            **({} if url == _IN_MEMORY else _POOL),
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise Unavailable(
            f"There is no driver for this kind of database: {error}",
            remedy="For PostgreSQL: pip install 'oakmill[postgres]'. The setting is `database`.",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def as_json(value: Any) -> str:
    """JSON that every database takes and every client reads: what a model's file says of itself may be neither."""
    with suppress(ValueError):  # a number that is none
        text = json.dumps(value, allow_nan=False)
        if "\\ud" not in text:  # no surrogates, which may be half a character
            return text
    return json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    """The value without numbers that are none, and without halves of characters."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_driver(url: str) -> str:
    """PostgreSQL by the driver that comes with us, whichever way its address is written."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in {"postgres", "postgresql"} else url


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that begins by reading and then writes may find the database locked, so it begins as a writer."""
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("begin" if reading else "begin immediate")


def _prepare_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver's own handling of transactions would stand in the way
    for pragma in _SQLITE:
        connection.execute(pragma)
