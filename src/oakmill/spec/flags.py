"""A spec on the command line: the option that each field has, and all that a spec states as options."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from oakmill.spec.class_names import as_option
from oakmill.spec.inputs import InputSpec


def flag_of(name: str, field: FieldInfo) -> str:
    """The option of a field: its own name, or the shorter one that the spec gives it."""
    extra = field.json_schema_extra
    own = extra.get("flag") if isinstance(extra, dict) else None
    return str(own) if own else "--" + name.replace("_", "-")


def options_of(spec: BaseModel) -> list[list[str]]:
    """What a spec states, as options of `oakmill convert` without --to: each option with what it takes."""
    return options(type(spec), spec.model_dump(mode="json", exclude_unset=True, exclude={"platform"}))


def options(kind: type[BaseModel], values: Mapping[str, Any], *, named: bool = True) -> list[list[str]]:
    """The same of plain values; without `named`, those of the model's only input do not say its name."""
    found = []
    for name, value in values.items():
        if name == "inputs":
            found += [words for item in value for words in _of_input(item, named=named)]
        else:
            found += _of_field(flag_of(name, kind.model_fields[name]), name, value)
    return found


def _of_input(item: Mapping[str, Any], *, named: bool) -> Iterator[list[str]]:
    prefix = f"{item['name']}=" if named and item.get("name") else ""
    for name, value in item.items():
        if name != "name" and value is not None:
            yield [flag_of(name, InputSpec.model_fields[name]), prefix + ",".join(map(_text, _listed(value)))]


def _of_field(flag: str, name: str, value: Any) -> list[list[str]]:
    if value is None or isinstance(value, bool):
        return [[flag]] if value else []
    if name.endswith("_args"):
        return [[flag, shlex.join(value)]] if value else []
    if name == "class_names":
        return [[flag, value if isinstance(value, str) else as_option(value)]] if value else []
    return [[flag, _text(item)] for item in _listed(value)]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
