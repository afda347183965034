"""Pages by keyset: a list goes on after the last row seen, so that a late page costs what the first one costs."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, literal, select, tuple_, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from oakmill.errors import SpecError
from oakmill.moments import in_utc
from oakmill.registry.access import Kind
from oakmill.storage.database import UtcDateTime

T = TypeVar("T")
LARGEST = 1000


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a list, and where the next one begins; None is the end."""

    items: list[T]
    next_cursor: str | None = None


@dataclass(frozen=True)
class Order:
    """How a list is sorted and where its page begins; rows that are equal there stand by their identifiers."""

    kind: Kind
    sort: str
    descending: bool
    limit: int
    cursor: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LARGEST:
            raise SpecError(f"A page of {self.limit} rows is not given.", remedy=f"Ask for 1 to {LARGEST}.")

    @property
    def column(self) -> InstrumentedAttribute[Any]:
        """What the list is sorted by."""
        column: InstrumentedAttribute[Any] = getattr(self.kind, self.sort)
        return column

    def first_of(self, condition: ColumnElement[bool]) -> Select[tuple[str, Any]]:
        """Identifiers and sort values of the page's rows among those of the condition, and one more."""
        key = tuple_(self.column, self.kind.id)
        query = select(self.kind.id.label("id"), self.column.label("at")).where(condition)
        if self.cursor is not None:
            value, last = self._read(self.cursor)
            start = tuple_(literal(value, self.column.type), literal(last))
            query = query.where(key < start if self.descending else key > start)
        by = (self.column, self.kind.id)
        return query.order_by(*(column.desc() if self.descending else column for column in by)).limit(self.limit + 1)

    def cursor_after(self, value: Any, row_id: str) -> str:
        """Where the next page begins: an opaque word, good for this list in this order only."""
        plain = value.isoformat() if isinstance(value, datetime) else value
        return base64.urlsafe_b64encode(json.dumps([*self._bound_to, plain, row_id]).encode()).decode().rstrip("=")

    @property
    def _bound_to(self) -> list[Any]:
        return [self.kind.__tablename__, self.sort, self.descending]

    def _read(self, cursor: str) -> tuple[Any, str]:
        try:
            *bound, value, row_id = json.loads(
                base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            )
            if isinstance(row_id, str) and bound == self._bound_to:
                return self._typed(value), row_id
        except (ValueError, TypeError):  # not base64, not JSON, not a list, not a moment
            pass
        raise SpecError(
            f"The cursor {cursor[:40]!r} does not belong to this list in this order.",
            subject=cursor[:80],
            remedy="Start without a cursor, and keep sort and order while you page on.",
        )

    def _typed(self, value: Any) -> Any:
        if isinstance(self.column.type, UtcDateTime):
            return in_utc(datetime.fromisoformat(value))
        kind = self.column.type.python_type
        if type(value) is not kind or (kind is int and abs(value) >= 2**31):
            raise TypeError(f"{value!r} is no {kind}")
        return value


def ids(session: Session, order: Order, parts: Sequence[ColumnElement[bool]]) -> Page[str]:
    """The identifiers of a page, merged from parts that exclude each other, each in order by its own index."""
    if not parts:
        return Page([])
    merged = union_all(*(select(order.first_of(part).subquery()) for part in parts)).subquery()
    by = (merged.c["at"], merged.c["id"])
    query = select(merged).order_by(*(column.desc() if order.descending else column for column in by))
    found = session.execute(query.limit(order.limit + 1)).all()
    page = found[: order.limit]
    more = order.cursor_after(page[-1].at, page[-1].id) if len(found) > order.limit else None
    return Page([row.id for row in page], more)
