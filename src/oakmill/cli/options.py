"""Draws command-line options from a conversion's spec, and a spec from their values."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from oakmill.cli import help_groups
from oakmill.errors import SpecError
from oakmill.spec import ConversionSpec, InputSpec, class_names, wrong
from oakmill.spec.flags import flag_of
from oakmill.spec.platforms import PLATFORMS, spec_kinds

_NOT_OPTIONS = {"platform", "inputs"}
"""Characters of a wrong value that are shown: 10,000 names would fill the screen."""
_LISTS = {"shape", "mean_values", "scale_values"}
_INPUT_FIELDS = {name: field for name, field in InputSpec.model_fields.items() if name != "name"}

Kinds = Callable[[], Sequence[type[ConversionSpec]]]
Spec = TypeVar("Spec", bound=ConversionSpec)


class PlatformWord(click.ParamType[str]):
    """The name of a platform, of those that there are when it is given."""

    name = "platform"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """All of them."""
        return f"[{'|'.join(PLATFORMS)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name itself."""
        return str(click.Choice(list(PLATFORMS)).convert(value, param, ctx))


class PlatformWords(click.ParamType[tuple[str, ...]]):
    """The names of one or several platforms, with commas between them."""

    name = "platforms"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """All of them."""
        return f"{PlatformWord().get_metavar(param, ctx)}[,...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Their names."""
        return tuple(PlatformWord().convert(word.strip(), param, ctx) for word in value.split(","))


def together(ctx: click.Context, param: click.Parameter, value: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The words of an option that was given several times, each once."""
    return tuple(dict.fromkeys(word for words in value for word in words))


class SpecCommand(click.Command):
    """A command that also has an option for each field of the specs and of their inputs.

    `kinds` gives the specs, by default those of all platforms; it is asked at each call. The help of what only some
    platforms have begins with their names.
    """

    def __init__(self, *args: Any, kinds: Kinds = spec_kinds, **more: Any) -> None:
        super().__init__(*args, **more)
        self.kinds = kinds

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own first, help last."""
        *own, help_option = super().get_params(ctx)
        return [*own, *options_of(self.kinds()), help_option]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options in groups."""
        help_groups.write(ctx, formatter, self.get_params(ctx), self.kinds())


def options_of(models: Sequence[type[ConversionSpec]]) -> list[click.Option]:
    """An option for each field of the inputs, then for each field of the specs."""
    return [*input_options(), *(_option(name, field) for name, field in _fields_of(models).items())]


def input_options() -> list[click.Option]:
    """An option for each field of the inputs."""
    return [_input_option(name, field) for name, field in _INPUT_FIELDS.items()]


def _fields_of(models: Sequence[type[ConversionSpec]]) -> dict[str, FieldInfo]:
    """All fields by name, those of every platform first."""
    shared = {name for name in models[0].model_fields if all(name in model.model_fields for model in models)}
    ordered = [name for name in models[0].model_fields if name in shared]
    ordered += [name for model in models for name in model.model_fields if name not in shared]
    found = {}
    for name in (name for name in ordered if name not in _NOT_OPTIONS):
        fields = {model: model.model_fields[name] for model in models if name in model.model_fields}
        found[name] = _described(name, fields, alone=name not in shared)
    return found


def _described(name: str, fields: Mapping[type[ConversionSpec], FieldInfo], *, alone: bool) -> FieldInfo:
    """The field as the command line describes it: for whom it is, and each platform's default where they differ."""
    first = next(iter(fields.values()))
    defaults = {model.platform_name(): field.default for model, field in fields.items()}
    text = first.description or ""
    if alone:
        text = f"[{', '.join(model.platform_name().upper() for model in fields)}] {text}"
    if len(set(map(str, defaults.values()))) > 1:
        said = ", ".join(f"{value} for {platform}" for platform, value in defaults.items())
        return _copied(first, description=f"{text} [default: {said}]", default=None)
    return _copied(first, description=text)


def _copied(field: FieldInfo, **changes: Any) -> FieldInfo:
    copy = FieldInfo(annotation=field.annotation, default=field.default, description=field.description)
    copy.json_schema_extra = field.json_schema_extra
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy


def _option(name: str, field: FieldInfo) -> click.Option:
    flag, help_text = flag_of(name, field), field.description
    kind = _plain(field.annotation)
    if kind is bool:
        return click.Option([flag, name], is_flag=True, help=help_text)
    several = get_origin(kind) is tuple and bool(get_args(kind))
    return click.Option([flag, name], multiple=several, metavar=_metavar(kind), help=_with_default(help_text, field))


def _plain(annotation: Any) -> Any:
    """The type of a value that may also be None or have limits."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return next(_plain(item) for item in get_args(annotation) if item is not NoneType)
    return annotation


def _input_option(name: str, field: FieldInfo) -> click.Option:
    metavar = "[INPUT=]" + ("N,N,..." if name in _LISTS else "WORD")
    return click.Option([flag_of(name, field), name], multiple=True, metavar=metavar, help=field.description)


def _metavar(kind: Any) -> str:
    kind = _plain(get_args(kind)[0]) if get_origin(kind) is tuple else kind
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return f"[{'|'.join(item.value for item in kind)}]"
    if get_origin(kind) is Literal:
        return f"[{'|'.join(get_args(kind))}]"
    return "N" if kind is int else "PATH" if kind is Path else "TEXT"


def _with_default(text: str | None, field: FieldInfo) -> str:
    default = field.default
    unsaid = default is None or default is False or default == ()
    return text or "" if unsaid else f"{text} [default: {default}]"


def build_spec(model: type[Spec], values: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> Spec:
    """The spec that the options' values describe, laid over those of `base`; the rest is left to the spec's defaults.

    Raises:
        SpecError: a value does not fit, or is for another platform; the message names the option.
    """
    _require_own(model, values)
    given: dict[str, Any] = {
        name: _value(name, value)
        for name, value in values.items()
        if name in model.model_fields and value not in (None, (), False)
    }
    inputs = _inputs({name: values.get(name) or () for name in _INPUT_FIELDS})
    base = base or {}
    try:
        return model.model_validate({**base, **given, "inputs": _laid_over(base.get("inputs") or [], inputs)})
    except ValidationError as error:
        raise invalid(error, model) from None


def _require_own(model: type[ConversionSpec], values: Mapping[str, Any]) -> None:
    known = {*model.model_fields, *_INPUT_FIELDS}
    for name, value in values.items():
        if name not in known and value not in (None, (), False):
            others = (other.model_fields[name] for other in spec_kinds() if name in other.model_fields)
            flag = flag_of(name, next(others, FieldInfo()))
            raise SpecError(
                f"{flag} does not apply to a conversion to {model.platform_name()}",
                subject=flag,
                remedy="omit it, or convert to a platform that has it (oakmill convert --help)",
            )


def _value(name: str, value: Any) -> Any:
    """A repeated option of tool arguments is split into words as a shell does; class names are read of their file."""
    if name == "class_names":
        return tuple(found for word in value for found in class_names.of_option(word))
    if not isinstance(value, tuple) or not name.endswith("_args"):
        return value
    try:
        return tuple(word for text in value for word in shlex.split(text))
    except ValueError as error:
        raise SpecError(f"--{name.replace('_', '-')} cannot be split into arguments: {error}") from None


def _inputs(values: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """One description for each input named, from `NAME=VALUE` and bare values."""
    found: dict[str | None, dict[str, Any]] = {}
    for field, texts in values.items():
        for text in texts:
            name, equals, value = text.rpartition("=")
            entry = found.setdefault(name if equals else None, {"name": name if equals else None})
            if field in entry:
                raise SpecError(f"--{field.replace('_', '-')} is given twice for the same input")
            entry[field] = _numbers(field, value) if field in _LISTS else value.upper()
    bare = found.pop(None, None) if len(found) > 1 else None
    if bare and len(found) == 1:  # a bare value beside one named input means that input
        (entry,) = found.values()
        return [{**bare, **entry}]
    return [*found.values(), *([bare] if bare else [])]


def _laid_over(base: Sequence[Mapping[str, Any]], inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The inputs of both, field by field; one without a name, where there is one on a side, is the other's only one."""
    found = {item.get("name"): dict(item) for item in base}
    for item in inputs:
        name = item.get("name")
        alone = len(found) == 1 and (name is None or None in found)
        entry = found.pop(next(iter(found))) if alone else found.pop(name, {})
        merged = {**entry, **{key: value for key, value in item.items() if value is not None}}
        found[merged.get("name")] = merged
    return list(found.values())


def _numbers(field: str, text: str) -> list[str]:
    return [part for part in text.strip("[]() ").replace(",", " ").split() if part]


def invalid(error: ValidationError, model: type[ConversionSpec]) -> SpecError:
    """The first thing that pydantic found wrong, in the words of the command line."""
    first = error.errors()[0]
    place = [part for part in first["loc"] if isinstance(part, str) and part != "inputs"]
    fields = {**model.model_fields, **_INPUT_FIELDS}
    flag = next((flag_of(name, fields[name]) for name in place if name in fields), "")
    words = f"{flag}: {wrong.in_words(first)}" if flag else wrong.in_words(first)
    help_text = fields[place[0]].description if place and place[0] in fields else ""
    return SpecError(words, subject=flag, remedy=help_text or "")
