"""Copies the rows of all tables from one database to another of the same tables, whatever kind each is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import JSON, Column, Connection, MetaData, Table, bindparam, func, select, text

from oakmill.storage.database import Database

ROWS = 500  # in memory at a time
_OWN = {"alembic_version"}


def transfer(source: Database, target: Database) -> None:
    """Copy all rows, as they were at one moment, into tables that are empty; all of them, or none."""
    calm = source.engine.execution_options(reading=True)
    if not source.is_sqlite:
        calm = calm.execution_options(isolation_level="REPEATABLE READ")
    with calm.connect() as reader, target.engine.begin() as writer:
        theirs, ours = _tables(reader), _tables(writer)
        for table in ours.sorted_tables:
            if table.name not in _OWN:
                _copy(reader, theirs.tables[table.name], writer, table)


def _tables(connection: Connection) -> MetaData:
    tables = MetaData()
    tables.reflect(connection)
    for table in tables.tables.values():
        for column in table.columns:
            if isinstance(column.type, JSON):
                column.type.none_as_null = True  # nothing stays nothing, and does not become JSON's null
    return tables


def _copy(reader: Connection, source: Table, writer: Connection, target: Table) -> None:
    parents = [key.parent.name for key in target.foreign_keys if key.column.table is target]
    for rows in _batches(_rows(reader, source)):
        writer.execute(target.insert(), [row | dict.fromkeys(parents) for row in rows])
    for name in parents:
        _link(reader, source, writer, target, name)
    for column in target.primary_key:
        _advance(writer, target, column)


def _link(reader: Connection, source: Table, writer: Connection, target: Table, name: str) -> None:
    """Rows that belong to rows of their own table: when all of them are there, in whichever order they came."""
    some = select(source.c.id.label("of"), source.c[name].label("to")).where(source.c[name].is_not(None))
    change = target.update().where(target.c.id == bindparam("of")).values({name: bindparam("to")})
    for rows in _batches(dict(row) for row in reader.execute(some).mappings()):
        writer.execute(change, rows)


def _advance(writer: Connection, table: Table, column: Column[Any]) -> None:
    """PostgreSQL counts beside the table: go on after the last number."""
    if writer.dialect.name == "postgresql" and "nextval" in str(getattr(column.server_default, "arg", "")):
        last = writer.scalar(select(func.max(column)))
        if last is not None:
            sequence = text("select setval(pg_get_serial_sequence(:table, :column), :last)")
            writer.execute(sequence, {"table": table.name, "column": column.name, "last": last})


def _rows(reader: Connection, source: Table) -> Iterator[dict[str, Any]]:
    options = {"stream_results": True, "yield_per": ROWS}
    for row in reader.execute(select(source), execution_options=options).mappings():
        yield {name: _in_utc(value) for name, value in row.items()}


def _in_utc(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    rest = iter(rows)
    while batch := list(islice(rest, ROWS)):
        yield batch
