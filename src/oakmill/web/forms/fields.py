"""Draws a form's fields from a conversion's spec: what each takes is read from the spec's own JSON schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from pydantic import ValidationError

from oakmill.spec import ConversionSpec, InputSpec
from oakmill.web.views.filters import plain
from oakmill.web.views.labels import label_of

Kind = Literal[
    "text", "number", "range", "switch", "choice", "several", "lines", "numbers", "arguments", "set", "names"
]

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Name and version": ("name", "ir_version", "snpe_version"),
    "Quantization": (
        "target_precision", "quantization_data", "max_quantization_images", "quantizer", "pot_target_device",
        "max_drop", "silu_int16", "quantizer_search", "search_seconds", "improve", "improve_minutes",
        "accuracy_control", "accuracy_drop", "accuracy_seconds",
    ),
    "Output": (
        "output_format", "blob", "number_of_shaves", "head", "keep_outputs", "outputs", "class_names",
    ),
    "Proof of accuracy": ("verification_images", "max_verification_images", "proof_images", "resize", "seed"),
    "Advanced": (),
}  # fmt: skip
"""The form's parts in order; what no part names is advanced."""

WORDS = {
    "nn_archive": "NN Archive", "native": "Bare file", "nncf": "NNCF", "pot": "POT", "mse": "MSE",
    "adaround": "AdaRound", "seqmse": "Sequential MSE",
}  # fmt: skip

SHOWN_WHEN = {
    "number_of_shaves": "blob", "search_seconds": "quantizer_search", "accuracy_drop": "accuracy_control",
    "accuracy_seconds": "accuracy_control", "htp_socs": "device_runtime", "improve_minutes": "improve",
}  # fmt: skip
"""Fields that say nothing unless another says something."""

LEFT_OUT = frozenset({"platform", "inputs", "aimet_encodings"})
"""The spec's fields that are no field of the form: a hub's request names no file of its machine."""

SETS = frozenset({"quantization_data", "verification_images"})
NAMES = "class_names"
"""The field whose text the spec itself reads."""
_SLIDER = 16
_FLAGS = re.compile(r"(?<![\w-])--?[a-zA-Z_]\w*")


@dataclass(frozen=True)
class Option:
    """One of several values; `note` says more of it, and `off` that it cannot be had here."""

    value: str
    label: str
    note: str = ""
    off: bool = False


@dataclass(frozen=True)
class Field:
    """One field of the form; `id` is its name in the form with dots for dashes, as an address in the page."""

    name: str
    label: str
    kind: Kind
    value: str = ""
    default: str = ""
    hint: str = ""
    options: tuple[Option, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    step: str = "any"
    origin: str = ""
    error: str = ""
    placeholder: str = ""
    shown_when: str = ""
    flags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Its identifier in the page."""
        return self.name.replace(".", "-")


@dataclass(frozen=True)
class Group:
    """A part of the form."""

    title: str
    fields: tuple[Field, ...] = field(default_factory=tuple)


def groups_of(
    kind: type[ConversionSpec],
    values: Mapping[str, str],
    errors: Mapping[str, str],
    choices: Mapping[str, Sequence[Option]],
) -> list[Group]:
    """The parts of the platform's form that have fields, with the values, errors and further choices given by name."""
    drawn = {item.name: item for item in fields_of(kind)}
    filled = {name: _filled(item, values, errors, choices) for name, item in drawn.items()}
    named = {name for names in GROUPS.values() for name in names}
    parts = {**GROUPS, "Advanced": tuple(name for name in filled if name not in named)}
    made = [Group(title, tuple(filled[name] for name in names if name in filled)) for title, names in parts.items()]
    return [group for group in made if group.fields]


def _filled(
    item: Field, values: Mapping[str, str], errors: Mapping[str, str], choices: Mapping[str, Sequence[Option]]
) -> Field:
    value, options = values.get(item.name, item.default), tuple(choices.get(item.name, item.options))
    kind: Kind = "choice" if item.name in choices and item.kind == "text" else item.kind
    return replace(item, value=value, options=options, kind=kind, error=errors.get(item.name, ""))


@lru_cache(maxsize=8)
def fields_of(kind: type[ConversionSpec]) -> tuple[Field, ...]:
    """All fields of a platform's form, as yet with their defaults."""
    schema = kind.model_json_schema()
    defs = schema.get("$defs", {})
    return tuple(
        _drawn(kind, name, about, defs) for name, about in schema["properties"].items() if name not in LEFT_OUT
    )


@lru_cache(maxsize=1)
def input_fields() -> tuple[Field, ...]:
    """The fields of one input."""
    schema = InputSpec.model_json_schema()
    defs = schema.get("$defs", {})
    return tuple(_drawn(InputSpec, name, about, defs) for name, about in schema["properties"].items() if name != "name")


def _drawn(model: type[Any], name: str, about: Mapping[str, Any], defs: Mapping[str, Any]) -> Field:
    default, text = plain(about.get("default")), about.get("description", "")
    found = _plain_schema(about, defs)
    kind = _kind(name, found, defs)
    made = Field(
        name, label_of(name), kind, value=default, default=default, hint=text, shown_when=SHOWN_WHEN.get(name, "")
    )
    if kind in ("number", "range"):
        return replace(made, **_bounds(found))
    if kind in ("choice", "several"):
        words = found.get("enum") or _plain_schema(found["items"], defs)["enum"]
        return replace(made, options=tuple(_options(model, name, words, default, several=kind == "several")))
    return replace(made, flags=tuple(_FLAGS.findall(text))) if kind == "arguments" else made


def _plain_schema(about: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a value may be, without null, and with what it refers to."""
    if "anyOf" in about:
        return _plain_schema(next(item for item in about["anyOf"] if item.get("type") != "null"), defs)
    if "$ref" in about:
        found: Mapping[str, Any] = defs[about["$ref"].rpartition("/")[2]]
        return found
    return about


def _kind(name: str, found: Mapping[str, Any], defs: Mapping[str, Any]) -> Kind:
    if name in SETS or name == NAMES:
        return "set" if name in SETS else "names"
    if "enum" in found:
        return "choice"
    if found.get("type") == "array":
        return _kind_of_many(name, _plain_schema(found.get("items", {}), defs))
    if found.get("type") in ("integer", "number"):
        span = found.get("maximum", 1e9) - found.get("minimum", 0)
        return "range" if found["type"] == "integer" and span < _SLIDER else "number"
    return "switch" if found.get("type") == "boolean" else "text"


def _kind_of_many(name: str, item: Mapping[str, Any]) -> Kind:
    if "enum" in item:
        return "several"
    if item.get("type") in ("integer", "number"):
        return "numbers"
    return "arguments" if name.endswith("_args") else "lines"


def _bounds(found: Mapping[str, Any]) -> dict[str, Any]:
    whole = found.get("type") == "integer"
    return {
        "minimum": found.get("minimum", found.get("exclusiveMinimum")),
        "maximum": found.get("maximum"),
        "step": "1" if whole else "any",
    }


def _options(model: type[Any], name: str, words: Sequence[str], default: str, *, several: bool) -> Iterator[Option]:
    """The values that the spec takes when nothing else is said; without a default, nothing comes first."""
    if not default:
        yield Option("", "as the model says" if model is InputSpec else "by the mode")
    for word in words:
        try:
            model.model_validate({name: [word] if several else word})
        except ValidationError:
            continue
        yield Option(word, WORDS.get(word) or word.replace("_", " "))
