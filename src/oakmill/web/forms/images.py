"""The images that a conversion's form offers: which are chosen at first, and which would only make the job fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from oakmill.calibration.datasets import SETS, Entry, NamedSet, State, store
from oakmill.calibration.datasets.catalog import BEGIN_WITH, DEFAULT
from oakmill.hub import background
from oakmill.hub.background import Standing
from oakmill.hub.state import Hub
from oakmill.registry import datasets
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Model
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, Precision, QuantizingSpec
from oakmill.web.forms.fields import Option
from oakmill.web.views.filters import counted

FIELD = "quantization_data"
_ORDER = {DEFAULT: 0, BEGIN_WITH: 1, "random": 9}


def own_sets(session: Session, caller: Caller) -> Iterator[Option]:
    """The team's own, the newest first."""
    if caller.is_known:
        for row in sorted(datasets.listed(session, caller), key=lambda row: row.created, reverse=True):
            yield Option(row.slug, row.name, f"The team's own. {counted(row.count, 'image')}.")


def options(session: Session, caller: Caller, settings: Settings) -> list[Option]:
    """The sets that are there, the best first: the team's own, General, those of other things, what is made here.

    General is told of where it is not there, too, for a request that names no set means it.
    """
    there = [entry for entry in store.entries(settings) if entry.name in SETS]
    named = sorted((entry for entry in there if entry.name == DEFAULT or not _is_lacking(entry)), key=_place)
    return [*own_sets(session, caller), *map(_named, named)]


def _place(entry: Entry) -> int:
    return _ORDER.get(entry.name, 5) + (10 if _is_lacking(entry) else 0)


def _is_lacking(entry: Entry) -> bool:
    return entry.state is not State.INSTALLED and not SETS[entry.name].is_made_when_asked


def _named(entry: Entry) -> Option:
    told = SETS[entry.name]
    note = told.note if entry.name == "random" else told.description
    if entry.name == BEGIN_WITH and entry.state is not State.INSTALLED:
        note += f" Fetched when first used, {told.megabytes} MB."
    elif _is_lacking(entry):
        note += f" Not installed: about {told.megabytes} MB."
    elif entry.images and entry.name != "random":
        note += f" {counted(entry.images, 'image')}."
    return Option(value_of(entry.name), entry.name.capitalize(), note, off=_is_lacking(entry))


def value_of(name: str) -> str:
    """How a form's field says a named set: the one that is meant anyway by saying nothing."""
    return "" if name == DEFAULT else name


def first_choice(session: Session, caller: Caller, settings: Settings, model: Model) -> str:
    """The set that a form has chosen for a model, as its field says it: the team's own, else General, else the starter.

    Of the team's own it is the one that is called as the model is, else the newest.
    """
    own = [option.value for option in own_sets(session, caller)]
    if own:
        return model.slug if model.slug in own else own[0]
    return BEGIN_WITH if is_lacking(DEFAULT, settings) else value_of(DEFAULT)


def is_lacking(name: str, settings: Settings) -> bool:
    """Whether a named set has to be installed first."""
    return any(entry.name == name and _is_lacking(entry) for entry in store.entries(settings))


def missing(spec: ConversionSpec | None, settings: Settings) -> dict[str, str]:
    """What is wrong with the set that is asked for, by its field: a job without its images is bound to fail."""
    if not isinstance(spec, QuantizingSpec) or spec.target_precision.is_float:
        return {}
    name = (spec.quantization_data or DEFAULT).lower()
    if name not in SETS or not is_lacking(name, settings):
        return {}
    return {FIELD: f"{name.capitalize()} is not installed on this hub: choose other images, or install it first."}


@dataclass(frozen=True)
class Ways:
    """What leads on where the team has no images: the set to install, how far that is, and the other doors.

    `float_precision` is the format that needs no images, where the platform has one.
    """

    general: NamedSet | None
    work: Standing | None
    has_own: bool
    float_precision: str = ""


def ways(session: Session, caller: Caller, at: Hub, kind: type[ConversionSpec]) -> Ways:
    """What a form for such a spec offers beside its sets."""
    lacking = is_lacking(DEFAULT, at.settings)
    return Ways(
        SETS[DEFAULT] if lacking else None,
        background.standing(at, "set", DEFAULT) if lacking else None,
        any(True for _ in own_sets(session, caller)),
        Precision.FP16_STANDARD.value if issubclass(kind, QuantizingSpec) else "",
    )
