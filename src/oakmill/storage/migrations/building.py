"""What the migrations build tables of: columns of one kind by their names, references, indexes of one column."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from oakmill.storage.database import UtcDateTime

make = op.create_table


def _columns(kind: Any, names: tuple[str, ...], null: bool) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=null) for name in names]


def text(length: int, *names: str, null: bool = False) -> list[sa.Column[Any]]:
    """Text of so many characters at most."""
    return _columns(sa.String(length), names, null)


def long_text(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    """Text of any length."""
    return _columns(sa.Text(), names, null)


def when(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    """Times."""
    return _columns(UtcDateTime(), names, null)


def json(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    """Documents."""
    return _columns(sa.JSON(), names, null)


def flag(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    """Yes or no."""
    return _columns(sa.Boolean(), names, null)


def whole(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    """Whole numbers of 32 bits."""
    return _columns(sa.Integer(), names, null)


def big(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    """Whole numbers of 64 bits."""
    return _columns(sa.BigInteger(), names, null)


def counter(*names: str) -> list[sa.Column[Any]]:
    """Numbers that the database counts up itself."""
    return _columns(sa.BigInteger().with_variant(sa.Integer(), "sqlite"), names, null=False)


def refer(column: str, table: str) -> sa.ForeignKeyConstraint:
    """A row of another table, with which this one goes."""
    return sa.ForeignKeyConstraint([column], [f"{table}.id"], ondelete="CASCADE")


def refer_and_stay(column: str, table: str) -> sa.ForeignKeyConstraint:
    """A row of another table, without which this one is there all the same."""
    return sa.ForeignKeyConstraint([column], [f"{table}.id"], ondelete="SET NULL")


def index(table: str, column: str) -> None:
    """An index of one column, by the name that SQLAlchemy gives it."""
    op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
