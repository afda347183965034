"""Models: made, changed, counted and deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypedDict, Unpack

from sqlalchemy import distinct, func, literal, select, union_all, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, SpecError
from oakmill.registry import access, audit, deletion, rows, trash
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import LONGEST, checked_name, letters, new_id, slugify
from oakmill.registry.tables import TRASHED, Instance, InstanceStatus, Model, Trash, Version, Visibility
from oakmill.registry.words import License, Task
from oakmill.storage.database import now

LONGEST_CARD = 200_000
LONGEST_LINK = 2_000
_TAIL = 8
_AT_ONCE = 50


class Card(TypedDict, total=False):
    """What a model says about itself. `card` is Markdown, `summary` its one sentence; links are {"name", "link"}."""

    visibility: str
    summary: str
    card: str
    license: str
    architecture: str | None
    tasks: Sequence[str]
    tags: Sequence[str]
    links: Sequence[dict[str, str]]
    is_yolo: bool


def create(session: Session, caller: Caller, *, name: str, team_id: str | None = None, **card: Unpack[Card]) -> Model:
    """A new model of the caller's team; the operator names the team.

    Raises:
        NoKey: No key was given.
        Forbidden: The key does not allow it, is for one model only, or is another team's.
        SpecError: The name or a word is not one that is known.
        Conflict: The team has a model of that name.
    """
    caller.require("convert")
    caller.require_whole_team()
    team_id = team_id or caller.own_team()
    access.require_own(caller, team_id, "team", team_id)
    model = Model(
        id=new_id("aim"),
        team_id=team_id,
        owner_key_id=caller.owner_id,
        name=checked_name(name),
        slug=slugify(name),
        **{"visibility": Visibility.TEAM, "summary": "", "tags": [], **checked_card(card)},
    )
    model.words = _words(model)
    rows.add(
        session,
        model,
        taken=f"There is a model {model.slug!r} already.",
        remedy="Choose another name, or add a version to that model.",
    )
    audit.record(session, caller, "model.create", model.id, of_team=team_id, name=model.name)
    return model


def update_card(
    session: Session, caller: Caller, model_id: str, *, name: str | None = None, **card: Unpack[Card]
) -> Model:
    """Change what is given; the slug stays, for addresses point to it.

    Raises:
        NotFound: The caller does not see it.
        NoKey: No key was given.
        Forbidden: It is another team's, or the key does not allow it.
        SpecError: A word is not one that is known.
    """
    model = access.changeable(session, caller, Model, model_id)
    changes = checked_card(card) | ({} if name is None else {"name": checked_name(name)})
    for key, value in changes.items():
        setattr(model, key, value)
    model.words = _words(model)
    session.flush()
    if "visibility" in changes:
        _hand_down(session, model)
    audit.record(session, caller, "model.update", model.id, of_team=model.team_id, changed=sorted(changes))
    return model


def create_quick(session: Session, caller: Caller, *, name: str) -> Model:
    """A model for a conversion that may leave nothing behind: in no list, under an address that takes nobody's name.

    Raises:
        NoKey, Forbidden, SpecError: as `create`.
    """
    own = letters(_TAIL).lower()
    model = create(session, caller, name=f"{name[: LONGEST - _TAIL - 1]} {own}", visibility=Visibility.QUICK)
    model.name = checked_name(name)
    session.flush()
    return model


def keep(session: Session, caller: Caller, model_id: str, *, name: str, visibility: str = Visibility.TEAM) -> Model:
    """Make a quick model one like others, under its own name.

    Raises:
        NotFound, NoKey, Forbidden, SpecError: as `update_card`.
        Conflict: It is kept already; or the team has a model of that name.
    """
    model = access.changeable(session, caller, Model, model_id)
    if model.visibility != Visibility.QUICK:
        raise Conflict(f"The model {model.name!r} is kept already.", subject=model.id, remedy="Look at its page.")
    slug = slugify(checked_name(name))
    try:
        with session.begin_nested():
            model.slug = slug
            session.flush()
    except IntegrityError:
        raise Conflict(
            f"There is a model {slug!r} already.", subject="name", remedy="Choose another name to keep it under."
        ) from None
    return update_card(session, caller, model_id, name=name, visibility=visibility)


def expire_quick(session: Session, days: int) -> bool:
    """Remove quick models that nobody kept and that rested for so long; whether there may be more. 0 days keep all."""
    if not days:
        return False
    old = select(Model).where(Model.visibility == Visibility.QUICK, Model.updated < now() - timedelta(days=days))
    found = session.scalars(old.limit(_AT_ONCE)).all()
    for model in found:
        deletion.delete(session, model, force=True)
    return len(found) == _AT_ONCE


def _hand_down(session: Session, model: Model) -> None:
    """All below the model is seen by whom the model is seen by; that is no change of theirs."""
    for kind in (Version, Instance):
        session.execute(
            update(kind)
            .where(kind.model_id == model.id, kind.visibility != TRASHED)
            .values(visibility=model.visibility, owner_key_id=model.owner_key_id, updated=kind.updated)
        )


def count_download(session: Session, model_id: str, instance_id: str) -> None:
    """One download more of the instance and its model; that is no change of theirs."""
    for kind, row_id in ((Model, model_id), (Instance, instance_id)):
        more: dict[str, Any] = {"downloads": kind.downloads + 1, "updated": kind.updated}
        more |= {"used": now()} if kind is Instance else {}
        session.execute(update(kind).where(kind.id == row_id).values(more))


def delete(session: Session, caller: Caller, model_id: str, *, force: bool = False, keep: bool = False) -> Trash | None:
    """Delete the model and all below it; with `keep` into the trash, where anything would be lost.

    Raises:
        NotFound: The caller does not see it.
        NoKey: No key was given.
        Forbidden: It is another team's, or the key does not allow it.
        Conflict: Something depends on it, and `force` was not given.
    """
    model = access.changeable(session, caller, Model, model_id)
    team_id, name = model.team_id, model.name
    entry = trash.remove(session, caller, model, force=force, keep=keep)
    audit.record(session, caller, "model.delete", model_id, of_team=team_id, name=name)
    return entry


@dataclass
class Counts:
    """How much stands below a model; `instances` by (model type, status)."""

    variants: int = 0
    versions: int = 0
    instances: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def available(self) -> list[str]:
        """The types of which an instance can be used, sorted."""
        return sorted({kind for kind, status in self.instances if status == InstanceStatus.AVAILABLE})


def counts(session: Session, model_ids: Iterable[str]) -> dict[str, Counts]:
    """What stands below each of the models, in one query."""
    ids = list(model_ids)
    tally = {model_id: Counts() for model_id in ids}
    if not ids:
        return tally
    per_model = [
        select(Version.model_id, literal(what), literal(""), func.count(counted))
        .where(Version.model_id.in_(ids), Version.trash_id.is_(None))
        .group_by(Version.model_id)
        for counted, what in ((distinct(Version.variant_id), "variants"), (Version.id, "versions"))
    ]
    group = (Instance.model_id, Instance.model_type, Instance.status)
    per_type = select(*group, func.count()).where(Instance.model_id.in_(ids), Instance.trash_id.is_(None))
    per_type = per_type.group_by(*group)
    for model_id, what, status, count in session.execute(union_all(*per_model, per_type)):
        if status:
            tally[model_id].instances[what, status] = count
        else:
            setattr(tally[model_id], what, count)
    return tally


def _words(model: Model) -> str:
    return rows.words(model.name, model.slug, model.summary, tags=model.tags)


def checked_card(card: Card) -> dict[str, Any]:
    """The card's values, with its words known and its texts not too long.

    Raises:
        SpecError: One is not.
    """
    checked: dict[str, Any] = dict(card)
    for key, known in (("visibility", Visibility), ("license", License)):
        if key in checked:
            _require_known(key, [checked[key]], [word.value for word in known])
    if "tasks" in checked:
        _require_known("tasks", checked["tasks"], [task.value for task in Task])
    for key, limit in (("summary", LONGEST), ("architecture", LONGEST), ("card", LONGEST_CARD)):
        if len(checked.get(key) or "") > limit:
            raise SpecError(f"The {key} has {len(checked[key])} characters; it takes {limit}.", subject=key)
    for key in {"tasks", "tags", "links"} & checked.keys():
        checked[key] = list(checked[key])
    if "links" in checked:
        checked["links"] = [_link(item) for item in checked["links"]]
    return checked


def _link(said: Mapping[str, str]) -> dict[str, str]:
    """An address and its words, which pages and others' clients read."""
    address = said.get("link")
    if not address or said.keys() - {"name", "link"} or max(map(len, said.values())) > LONGEST_LINK:
        raise SpecError(
            "A link has a name and an address.",
            subject="links",
            remedy=f'Give {{"name": ..., "link": ...}}, of {LONGEST_LINK} characters at most each.',
        )
    return {"name": said.get("name") or address, "link": address}


def _require_known(key: str, given: Iterable[str], known: Sequence[str]) -> None:
    wrong = sorted(set(given) - set(known))
    if wrong:
        raise SpecError(f"{key} cannot be {wrong[0]!r}.", subject=key, remedy=f"Choose among {', '.join(known)}.")
