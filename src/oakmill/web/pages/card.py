"""A model's page: its card, its variants, and below each version what can be downloaded; and its card's form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import Response
from sqlalchemy.orm import Session

from oakmill.registry import aliases, models, resolve, search, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import LISTED, Instance, InstanceStatus, Model, Origin, Variant, Version
from oakmill.registry.words import License, Task, target_types
from oakmill.web.forms.submitted import Fields, Form
from oakmill.web.page_context import Changing, Known, Open, PageContext, Reading, Writing
from oakmill.web.routing import Id, page_router
from oakmill.web.views import plots
from oakmill.web.views.filters import markdown, model_path, safe_link

pages = page_router()

MOST = 1000
MOVES = 20
"""Moves of its aliases that a model's page tells."""
COMPARED = 6
"""Instances that a model's page offers to be put side by side."""


@dataclass
class Shelf:
    """A version, and what stands below it: the sources first, then what was made of them, the latest first."""

    version: Version
    instances: list[Instance] = field(default_factory=list)

    @property
    def source(self) -> Instance | None:
        """What is converted when nobody says which."""
        ready = (row for row in self.instances if row.origin == Origin.SOURCE)
        return next((row for row in ready if row.status == InstanceStatus.AVAILABLE), None)

    @property
    def platforms(self) -> list[str]:
        """For which there is a result that can be used."""
        ready = {row.model_type for row in self.instances if row.status == InstanceStatus.AVAILABLE}
        return [name for name in target_types() if name in ready]


@dataclass(frozen=True)
class Flavour:
    """A variant with its latest version, and the platforms that any of its versions was converted for."""

    variant: Variant
    shelves: list[Shelf]

    @property
    def latest(self) -> Shelf:
        """The highest version."""
        return self.shelves[0]

    @property
    def source(self) -> Instance | None:
        """The latest version's source, or that of the latest which has one."""
        return next((shelf.source for shelf in self.shelves if shelf.source), None)

    @property
    def platforms(self) -> list[str]:
        """In the platforms' order."""
        ready = {name for shelf in self.shelves for name in shelf.platforms}
        return [name for name in target_types() if name in ready]


@pages.get("/models/{model_id}/edit")
def edit_page(model_id: Id, context: Changing, session: Reading) -> Response:
    """The card's form."""
    row = resolve.model(session, context.caller, Address(model_id))
    return _form(context, row, _shown(row))


@pages.post("/models/{model_id}/edit")
def edit(model_id: Id, context: Changing, session: Writing, form: Form) -> Response:
    """Change the card."""
    changes = _changes(form)
    row = models.update_card(session, context.caller, model_id, **changes)
    session.flush()
    return context.go(model_path(resolve.model(session, context.caller, Address(row.id))))


@pages.post("/models/preview")
def preview(context: Known, form: Form) -> Response:
    """A card's Markdown, as it will be shown."""
    return context.part("model/preview.html", text=markdown(form.get("card")[: models.LONGEST_CARD]))


@pages.get("/models/{model_id}")
def model_by_id(model_id: Id, context: Open, session: Reading) -> Response:
    """A model by its identifier."""
    return _page(context, session, Address(model_id))


@pages.get("/models/{team}/{slug}")
def model_by_name(team: str, slug: str, context: Open, session: Reading) -> Response:
    """A model by its address."""
    return _page(context, session, Address(slug, team))


def _page(context: PageContext, session: Session, address: Address) -> Response:
    model_id = resolve.model(session, context.caller, address).id
    pointing = aliases.listed(session, context.caller, model_id)
    moves = aliases.history(session, context.caller, model_id, limit=MOVES)
    shelves = shelves_of(session, context.caller, model_id)
    rows = [row for shelf in shelves for row in shelf.instances]
    row = resolve.model(session, context.caller, address)  # again: a list of instances loads models without their teams
    return context.page(
        "model/page.html",
        model=row,
        counts=models.counts(session, [row.id])[row.id],
        flavours=flavours_of(variants.of_model(session, context.caller, row.id), shelves),
        shelves=shelves,
        aliases=pointing,
        moves=moves,
        plots=plots.accuracy_against_size(rows),
        latest=_measured(rows)[:COMPARED],
        mark=plots.mark,
        may_change=context.caller.may_change(row.team_id),
    )


def _measured(rows: Iterable[Instance]) -> list[Instance]:
    """The converted ones that were measured, the latest first."""
    found = [row for row in rows if row.origin == Origin.CONVERTED and plots.measured(row)]
    return sorted(found, key=lambda row: row.created, reverse=True)


def shelves_of(session: Session, caller: Caller, model_id: str) -> list[Shelf]:
    """The model's versions, the highest first, with their instances."""
    query = search.Query(model_id=model_id, sort="created", limit=MOST)
    rows = search.instances(session, caller, query).items  # first: it loads versions without their variants
    shelves = {row.id: Shelf(row) for row in variants.versions_of(session, caller, model_id)}
    for row in rows:
        shelves[row.version_id].instances.append(row)
    for shelf in shelves.values():
        shelf.instances.sort(key=lambda row: row.origin != Origin.SOURCE)
    return list(shelves.values())


def flavours_of(rows: Iterable[Variant], shelves: Iterable[Shelf]) -> list[Flavour]:
    """The variants with their versions; one that has none yet is left out."""
    by_variant: dict[str, list[Shelf]] = {}
    for shelf in shelves:
        by_variant.setdefault(shelf.version.variant_id, []).append(shelf)
    return [Flavour(row, by_variant[row.id]) for row in rows if row.id in by_variant]


def _form(context: PageContext, row: Model, values: dict[str, Any]) -> Response:
    words: dict[str, Any] = {"licenses": list(License), "tasks": list(Task), "visibilities": list(LISTED)}
    return context.page("model/edit.html", model=row, values=values, **words)


def _shown(row: Model) -> dict[str, Any]:
    links = "\n".join(f"{item.get('name', '')} {item.get('link', '')}".strip() for item in row.links)
    return {"tags": ", ".join(row.tags), "links": links}


def _changes(form: Fields) -> models.Card:
    changes: dict[str, Any] = {
        name: form.get(name).strip() for name in ("name", "summary", "license", "visibility") if name in form
    }
    changes["card"] = form.get("card").replace("\r\n", "\n")
    changes["architecture"] = form.get("architecture").strip() or None
    changes["tasks"] = form.all("tasks")
    changes["tags"] = list(dict.fromkeys(word.strip() for word in form.get("tags").split(",") if word.strip()))
    changes["links"] = [found for line in form.get("links").splitlines() if (found := _link(line))]
    changes["is_yolo"] = form.get("is_yolo") == "yes"
    return changes  # type: ignore[return-value]  # a Card, and the name that goes with it


def _link(line: str) -> dict[str, str] | None:
    """A line of the form: words and an address; nothing where there is no address that a link may lead to."""
    *words, address = line.split() or [""]
    return {"name": " ".join(words) or address, "link": address} if safe_link(address) else None
