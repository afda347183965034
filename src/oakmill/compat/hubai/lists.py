"""HubAI's lists: bare arrays, however long, of what its filters ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Annotated, Literal, TypeVar

from pydantic import Field
from sqlalchemy.orm import Session

from oakmill.compat.wire import Asked
from oakmill.registry.callers import Caller
from oakmill.registry.pages import LARGEST, Page
from oakmill.registry.search import Query
from oakmill.registry.tables import Visibility

Row = TypeVar("Row")

Word = Annotated[str, Field(max_length=255)]
SEVERAL = 32
MOST = 10_000


class Listing(Asked):
    """What all lists take."""

    is_public: bool | None = None
    slug: Word | None = None
    limit: Annotated[int, Field(ge=1, le=MOST)] = 50
    sort: Word = "updated"
    order: Literal["asc", "desc"] = "desc"

    def query(self, **filters: object) -> Query:
        """The registry's words for it; `filters` are those of this list."""
        query = Query(
            visibility=visibilities(self.is_public),
            sort=self.sort,
            descending=self.order == "desc",
            limit=min(self.limit, LARGEST),
        )
        return replace(query, **filters)  # type: ignore[arg-type]


def visibilities(is_public: bool | None) -> tuple[Visibility, ...] | None:
    """HubAI's lists tell public from the rest; None is what lists show by themselves."""
    if is_public is None:
        return None
    return (Visibility.PUBLIC,) if is_public else (Visibility.PRIVATE, Visibility.TEAM)


def visibility(is_public: bool | None) -> Visibility:
    """What a model is made as: public, private, or with None the team's."""
    return Visibility.TEAM if is_public is None else Visibility.PUBLIC if is_public else Visibility.PRIVATE


def rows(
    search: Callable[[Session, Caller, Query], Page[Row]], session: Session, caller: Caller, query: Query, limit: int
) -> list[Row]:
    """The first rows of a list, over as many pages as it takes."""
    return list(islice(walk(search, session, caller, query), limit))


def walk(
    search: Callable[[Session, Caller, Query], Page[Row]], session: Session, caller: Caller, query: Query
) -> Iterator[Row]:
    """All rows of a list."""
    while True:
        page = search(session, caller, query)
        yield from page.items
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)
