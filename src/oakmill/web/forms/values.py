"""Reads a conversion's form: what it states beyond the defaults, checked by the platform's own spec and allow-lists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from oakmill.conversion import registry
from oakmill.conversion.inputs import ResolvedInput
from oakmill.errors import ArgumentRefused, OakmillError, SpecError
from oakmill.findings import Finding
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, Encoding, InputSpec, preprocessing_rules, wrong
from oakmill.spec.class_names import as_option
from oakmill.web.forms import decided
from oakmill.web.forms.fields import NAMES, Field, fields_of, input_fields
from oakmill.web.forms.source import Source
from oakmill.web.forms.submitted import Fields
from oakmill.web.views.filters import plain

_SEPARATORS = re.compile(r"[\s,;\[\]()]+|(?<=\d)[x×](?=\d)")
_NOTHING = {"mean_values": "0", "scale_values": "1"}
"""What an emptied field says where the archive says something else."""


@dataclass
class Checked:
    """What a form asks for: the values that it states, the spec where they are right, and what is wrong by field.

    `findings` are on values that are legal, by the field of their input, as are the words on its `colours`.
    """

    values: dict[str, Any]
    spec: ConversionSpec | None = None
    errors: dict[str, str] = field(default_factory=dict)
    findings: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    colours: dict[str, str] = field(default_factory=dict)


def read(kind: type[ConversionSpec], form: Fields, source: Source, settings: Settings) -> Checked:
    """The form, checked against the spec and the source's inputs."""
    inputs, places = _inputs(form, source.archive)
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for item in fields_of(kind):
        try:
            value = _value(item, form)
        except ValueError as error:
            errors[item.name] = str(error)
        else:
            values |= {} if value is None else {item.name: value}
    found = Checked(values | ({"inputs": inputs} if inputs else {}), errors=errors)
    found.findings = dict(_mistakes(inputs, places, source.archive))
    found.errors |= dict(wrong_arguments(str(kind.model_fields["platform"].default), values, settings))
    _check(kind, found, places)
    _fit(found, source)
    return found


def untouched(stated: dict[str, Any], source: Source) -> Checked:
    """A form that nobody has typed into yet: what it states beforehand, of which nothing is wrong."""
    found = Checked(stated)
    asked = [InputSpec.model_validate(item) for item in stated.get("inputs") or ()]
    items = enumerate(decided.inputs_of(asked, source))
    found.colours = {f"inputs.{at}": decided.in_words(item) for at, item in items if isinstance(item, ResolvedInput)}
    return found


def shown(spec: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """A spec's values as a form's fields have them, by name; `names` are the model's inputs in order."""
    texts = {name: _text(name, value) for name, value in spec.items() if name not in ("inputs", "platform")}
    for item in spec.get("inputs") or []:
        at = names.index(item["name"]) if item.get("name") in names else 0
        texts |= {f"inputs.{at}.{name}": plain(value) for name, value in item.items() if name != "name"}
    return texts


def _text(name: str, value: Any) -> str:
    if name == NAMES and value:
        return as_option(value, between="\n")
    if isinstance(value, list | tuple):
        return shlex.join(value) if name.endswith("_args") else "\n".join(map(plain, value))
    return plain(value)


def _value(item: Field, form: Fields) -> Any | None:
    """What the form states of a field; None where it is the default, or nothing."""
    text = form.get(item.name).strip()
    if item.kind == "switch":
        return True if text == "yes" else None
    if item.kind == "several":
        chosen = form.all(item.name)
        return chosen if chosen and ", ".join(chosen) != item.default else None
    if not text or text == item.default:
        return None
    if item.kind == "lines":
        return [line.strip() for line in text.splitlines() if line.strip()]
    return _words(text) if item.kind == "arguments" else text


def _words(text: str) -> list[str]:
    """Tool arguments, split as a shell does.

    Raises:
        ValueError: a quotation does not end.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(f"These cannot be split into arguments: {error}") from None


def _inputs(form: Fields, archive: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[int]]:
    """What is stated of the inputs, and the place in the form of each that something is stated of."""
    found, places = [], []
    for at, said in enumerate(archive):
        values = dict(_of_input(form, at, said))
        if values:
            found.append({"name": said["name"], **values})
            places.append(at)
    return found, places


def _of_input(form: Fields, at: int, said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for item in input_fields():
        name = f"inputs.{at}.{item.name}"
        text, before = form.get(name).strip(), plain(said.get(item.name))
        if name not in form or _same(text, before):
            continue
        if text:
            yield item.name, _numbers(text) if item.kind == "numbers" else text
        elif item.name in _NOTHING:
            yield item.name, [_NOTHING[item.name]] * len(said[item.name])


def _numbers(text: str) -> list[str]:
    return [part for part in _SEPARATORS.split(text) if part]


def _same(text: str, other: str) -> bool:
    return text == other or (bool(text) and _numbers(text) == _numbers(other))


def _check(kind: type[ConversionSpec], found: Checked, places: Sequence[int]) -> None:
    try:
        spec = kind.model_validate(found.values)
    except ValidationError as error:
        for item in error.errors():
            where = _place([str(part) for part in item["loc"]], places)
            found.errors.setdefault(where, _sentence(wrong.in_words(item)))
        return
    found.spec = None if found.errors else spec


def _fit(found: Checked, source: Source) -> None:
    """Whether the inputs can take what the spec says of them, as the conversion itself decides it."""
    if found.spec is None:
        return
    for at, item in enumerate(decided.inputs_of(found.spec.inputs, source)):
        if isinstance(item, SpecError):
            found.errors.setdefault(f"inputs.{at}", _sentence(_told(item).rstrip(".")))
            found.spec = None
        elif item:
            found.colours[f"inputs.{at}"] = decided.in_words(item)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _place(where: Sequence[str], places: Sequence[int]) -> str:
    """The form's field of a place in the spec; of the whole, nothing."""
    if where[:1] == ["inputs"] and len(where) > 1:
        return ".".join(["inputs", str(places[int(where[1])]), *where[2:3]])
    return where[0] if where else ""


def wrong_arguments(platform: str, values: Mapping[str, Any], settings: Settings) -> Iterator[tuple[str, str]]:
    """Of each field of tool arguments that its tool's allow-list refuses, why."""
    for name, read_it in registry.ROWS[platform].arguments(settings).items():
        words = values.get(name)
        try:
            if words:
                read_it(words)
        except ArgumentRefused as error:
            yield name, _told(error)


def _told(error: OakmillError) -> str:
    return f"{error.message}. {error.remedy}" if error.remedy else f"{error.message}."


def _mistakes(
    inputs: Sequence[Mapping[str, Any]], places: Sequence[int], archive: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, tuple[Finding, ...]]]:
    """What looks like a well-known mistake in an input's values, as they are with the archive's."""
    stated = dict(zip(places, inputs, strict=True))
    for at, said in enumerate(archive):
        try:
            item = InputSpec.model_validate({**said, **stated.get(at, {})})
        except ValidationError:
            continue
        pixels = Encoding.NONE not in (item.encoding_from, item.encoding_to)
        order = item.encoding_from or Encoding.RGB
        if found := preprocessing_rules.mistakes(
            "", item.mean_values, item.scale_values, pixels=pixels, encoding=order
        ):
            yield f"inputs.{at}", found
