"""Lists of models, versions and instances: filtered, sorted, in pages, each caller seeing their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, String, and_, cast, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload, selectinload
from sqlalchemy.sql.base import ExecutableOption

from oakmill.errors import SpecError
from oakmill.findings import severity_of, words_of
from oakmill.registry import access
from oakmill.registry.access import Kind
from oakmill.registry.callers import Caller
from oakmill.registry.pages import Order, Page, ids
from oakmill.registry.tables import LISTED, Instance, InstanceStatus, Model, Variant, Version, Visibility

Row = TypeVar("Row", Model, Version, Instance)

SORTS: dict[type, tuple[str, ...]] = {
    Model: ("updated", "created", "name", "downloads"),
    Version: ("updated", "created"),
    Instance: ("updated", "created", "name", "downloads"),
}


@dataclass(frozen=True)
class Query:
    """What a list is to show. Of several tasks, platforms, ... a row has one; all else has to be met.

    Where models or versions are listed, what says something of instances is met when an available one below does.
    """

    text: str = ""
    tasks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    license: str | None = None
    platforms: tuple[str, ...] = ()  #: model types: platforms, and sources' formats
    precision: str | None = None
    tool_version: str | None = None
    hash: str | None = None  #: a sha256 or its beginning
    verdict: str | None = None
    status: str | None = None
    origin: str | None = None
    name: str | None = None
    slug: str | None = None
    variant_slug: str | None = None
    version: str | None = None
    team_id: str | None = None
    model_id: str | None = None
    variant_id: str | None = None
    version_id: str | None = None
    parent_id: str | None = None
    job_id: str | None = None
    visibility: tuple[Visibility, ...] | None = None  #: by default what is listed; below what is named, all
    sort: str = "updated"
    descending: bool = True
    limit: int = 50
    cursor: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if any("\0" in text for text in (value if isinstance(value, tuple) else [value]) if isinstance(text, str)):
                raise SpecError(
                    f"The filter {field.name} holds a zero byte.", subject=field.name, remedy="Leave it out."
                )

    @property
    def among(self) -> tuple[Visibility, ...]:
        """The visibilities that are looked through: a quick model is in no list, but in those of what is below it."""
        if self.visibility is not None:
            return self.visibility
        above = (self.model_id, self.variant_id, self.version_id, self.parent_id, self.job_id)
        return LISTED if above.count(None) == len(above) else tuple(Visibility)


EVERYTHING = Query()
_FEW = 500
"""Models that are sought one by one rather than met in a list."""


def models(session: Session, caller: Caller, query: Query = EVERYTHING) -> Page[Model]:
    """A page of models, with their teams; `models.counts` tells what stands below them.

    Raises:
        SpecError: The sort, the limit or the cursor is not one of this list's.
    """
    return _page(session, caller, Model, query, [joinedload(Model.team)])


def versions(session: Session, caller: Caller, query: Query = EVERYTHING) -> Page[Version]:
    """A page of versions, with their variants.

    Raises:
        SpecError: The sort, the limit or the cursor is not one of this list's.
    """
    return _page(session, caller, Version, query, [joinedload(Version.variant)])


def instances(session: Session, caller: Caller, query: Query = EVERYTHING) -> Page[Instance]:
    """A page of instances, with model, variant, version and files.

    Raises:
        SpecError: The sort, the limit or the cursor is not one of this list's.
    """
    above = [joinedload(Instance.model), joinedload(Instance.variant), joinedload(Instance.version)]
    return _page(session, caller, Instance, query, [*above, selectinload(Instance.files)])


def count(session: Session, caller: Caller, kind: Kind, query: Query = EVERYTHING) -> int:
    """How many rows the list has on all its pages."""
    conditions = _parts(session, caller, kind, query)
    if not conditions:
        return 0
    counts = [select(func.count()).select_from(kind).where(part).scalar_subquery() for part in conditions]
    return sum(int(value) for value in session.execute(select(*counts)).one())


def _page(
    session: Session, caller: Caller, kind: type[Row], query: Query, options: list[ExecutableOption]
) -> Page[Row]:
    if query.sort not in SORTS[kind]:
        raise SpecError(
            f"{kind.__tablename__.title()} are not sorted by {query.sort!r}.",
            subject="sort",
            remedy=f"Choose among {', '.join(SORTS[kind])}.",
        )
    order = Order(kind, query.sort, query.descending, query.limit, query.cursor)
    page = ids(session, order, _parts(session, caller, kind, query))
    # By identifier, so that a list walks narrow indexes and reads the rows of its page alone.
    found = session.scalars(
        select(kind).where(kind.id.in_(page.items)).options(*options).execution_options(populate_existing=True)
    )
    rows = {row.id: row for row in found}
    return Page([rows[row_id] for row_id in page.items if row_id in rows], page.next_cursor)


def _parts(session: Session, caller: Caller, kind: Kind, query: Query) -> list[ColumnElement[bool]]:
    """The list as conditions that exclude each other, and each of which leaves its order to one index."""
    filters, types = list(_filters(kind, query)), _types(kind, query)
    few = list(_few(kind, query))
    if not few and not issubclass(kind, Model):
        few = list(_few_models(session, kind, query))
    seen = access.parts(caller, kind, among=query.among, team_id=query.team_id, indexed=not few)
    if few:
        return [and_(*few, or_(*seen), *filters, *types)] if seen else []
    if types and query.sort == "updated":  # which has an index for each type
        each = [Instance.model_type == name for name in dict.fromkeys(query.platforms)]
        return [and_(part, one, *filters) for part, one in product(seen, each)]
    return [and_(part, *filters, *types) for part in seen]


def _few_models(session: Session, kind: type[Version] | type[Instance], query: Query) -> Iterator[ColumnElement[bool]]:
    """The models that the query means, when they are few; of many, one is soon met on the way through the list."""
    conditions = list(_of_models(kind, query))
    if conditions:
        meant = session.scalars(select(Model.id).where(*conditions).limit(_FEW + 1)).all()
        if len(meant) <= _FEW:
            yield kind.model_id.in_(meant)


def _types(kind: Kind, query: Query) -> list[ColumnElement[bool]]:
    return [Instance.model_type.in_(query.platforms)] if issubclass(kind, Instance) and query.platforms else []


def _few(kind: Kind, query: Query) -> Iterator[ColumnElement[bool]]:
    """Conditions that leave so few rows that they lead, and not the order."""
    if query.model_id is not None:
        yield access.model_id_of(kind) == query.model_id
    for name in ("variant_id", "version_id", "parent_id", "job_id", "slug"):
        column = getattr(kind, name, None)
        if isinstance(column, InstrumentedAttribute) and getattr(query, name) is not None:
            yield column == getattr(query, name)
    if query.hash is not None and issubclass(kind, Instance):
        yield begins_with(query.hash)


def begins_with(digest: str) -> ColumnElement[bool]:
    """Instances whose hash begins so, as a range in the index."""
    return Instance.sha256.between(digest.lower(), digest.lower() + "g")


def _filters(kind: Kind, query: Query) -> Iterator[ColumnElement[bool]]:
    if issubclass(kind, Instance):
        yield from _of_instances(query)
        yield from (_has_word(Instance.words, word) for word in query.text.lower().split())
    else:
        yield from _above_instances(kind, query)
    if query.name is not None:
        yield (
            Version.variant.has(Variant.name == query.name) if issubclass(kind, Version) else kind.name == query.name
        )
    if not issubclass(kind, Model):
        yield from _of_versions(kind, query)
    conditions = list(_of_models(kind, query))
    if issubclass(kind, Model):
        yield from conditions
    elif conditions:
        yield exists().where(Model.id == kind.model_id, *conditions)


def _of_instances(query: Query) -> Iterator[ColumnElement[bool]]:
    for name in ("precision", "tool_version", "status", "origin"):
        if getattr(query, name) is not None:
            yield getattr(Instance, name) == getattr(query, name)
    if query.verdict is not None:
        yield Instance.verdict.in_(_words_of(query.verdict))


def _words_of(verdict: str) -> tuple[str, ...]:
    """All words that stored instances have for it; a word that is none finds nothing."""
    try:
        return words_of(severity_of(verdict))
    except ValueError:
        return ()


def _above_instances(kind: type[Model] | type[Version], query: Query) -> Iterator[ColumnElement[bool]]:
    """An instance below meets what the query says of instances."""
    below = [*_of_instances(query), *_types(Instance, query)]
    if query.hash is not None:
        below.append(begins_with(query.hash))
    if not below:
        return
    below.append(Instance.trash_id.is_(None))
    if query.status is None:
        below.append(Instance.status == InstanceStatus.AVAILABLE)
    ours = Instance.model_id == Model.id if issubclass(kind, Model) else Instance.version_id == Version.id
    yield exists().where(ours, *below)


def _of_versions(kind: type[Version] | type[Instance], query: Query) -> Iterator[ColumnElement[bool]]:
    if query.variant_slug is not None:
        yield kind.variant.has(Variant.slug == query.variant_slug)
    if query.version is not None:
        yield (
            Version.version == query.version
            if issubclass(kind, Version)
            else Instance.version.has(version=query.version)
        )


def _of_models(kind: Kind, query: Query) -> Iterator[ColumnElement[bool]]:
    """What the query says of the model; an instance has words of its own."""
    yield from _of_cards(query)
    if not issubclass(kind, Instance):
        yield from (_has_word(Model.words, word) for word in query.text.lower().split())


def _of_cards(query: Query) -> Iterator[ColumnElement[bool]]:
    if query.license is not None:
        yield Model.license == query.license
    for column, given in ((Model.tasks, query.tasks), (Model.tags, query.tags)):
        if given:
            yield or_(*(_has_word(cast(column, String), json.dumps(item)) for item in given))


def _has_word(column: Any, word: str) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = column.contains(word, autoescape=True)
    return condition
