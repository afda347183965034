"""What a step may do that runs while code of before goes on: it adds, and asks nothing new of who writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, inspect


@dataclass(frozen=True)
class Table:
    """A table as the database has it: columns by name, and what rows have to fulfil together."""

    columns: Mapping[str, Mapping[str, Any]]
    rules: frozenset[str]


def tables(connection: Connection) -> dict[str, Table]:
    """All tables of the hub."""
    schema = inspect(connection)
    found = {}
    for name in schema.get_table_names():
        columns = {column["name"]: column for column in schema.get_columns(name)}
        rules = {f"unique {index['column_names']}" for index in schema.get_indexes(name) if index["unique"]}
        rules |= {f"unique {rule['column_names']}" for rule in schema.get_unique_constraints(name)}
        rules |= {f"foreign key {rule['constrained_columns']}" for rule in schema.get_foreign_keys(name)}
        rules |= {f"check {rule['sqltext']}" for rule in schema.get_check_constraints(name)}
        rules.add(f"key {schema.get_pk_constraint(name)['constrained_columns']}")
        found[name] = Table(columns, frozenset(rules))
    return found


def faults(before: Mapping[str, Table], after: Mapping[str, Table]) -> Iterator[str]:
    """What of a change would stop code of before, in words."""
    for name, old in before.items():
        if name not in after:
            yield f"the table {name} is gone"
            continue
        new = after[name]
        yield from (f"{name}: new rule: {rule}" for rule in sorted(new.rules - old.rules))
        for column, was in old.columns.items():
            if column not in new.columns:
                yield f"{name}.{column} is gone"
            elif _told(was) != _told(new.columns[column]):
                yield f"{name}.{column} was {_told(was)}, and becomes {_told(new.columns[column])}"
        for column in new.columns.keys() - old.columns.keys():
            added = new.columns[column]
            if not added["nullable"] and added["default"] is None:
                yield f"{name}.{column} is new, may not be empty and has no default"


def _told(column: Mapping[str, Any]) -> str:
    return f"{column['type']!r} {'null' if column['nullable'] else 'not null'}"
