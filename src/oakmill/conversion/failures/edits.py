"""Changes a spec as the remedy of a failure says, and says the same in options of the command line.

An edit maps places to values: a field (`target_precision`), or an input's field with the input's name between the
dots (`inputs.image.shape`; `*` is every input that is described). None puts the default back. For a list of tool
arguments, `{"without": "--scale"}` takes out those that begin so.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from oakmill.conversion.failures.failure import Edit
from oakmill.errors import SpecError
from oakmill.spec import ConversionSpec, wrong
from oakmill.spec.flags import options_of

_INPUTS = "inputs."
_EVERY = "*"

Spec = TypeVar("Spec", bound=ConversionSpec)


def apply(edit: Edit, spec: Spec) -> Spec:
    """The spec with an edit in it, checked.

    Raises:
        SpecError: the spec has no such field, or may not have such a value.
    """
    try:
        return type(spec).model_validate(edited(spec.model_dump(exclude_unset=True), edit))
    except ValidationError as error:
        place, words = wrong.first_of(error.errors(), next(iter(edit), ""))
        raise SpecError(f"the edit of {place} does not fit: {words}", subject=place) from None


def edited(values: Mapping[str, Any], edit: Edit) -> dict[str, Any]:
    """A spec's values, as a form or a recipe holds them, with an edit in them; not checked."""
    changed = dict(values)
    inputs = [dict(item) for item in values.get("inputs") or ()]
    for place, value in edit.items():
        if place.startswith(_INPUTS):
            _edit_inputs(inputs, *_split(place), value)
        else:
            _set(changed, place, value)
    if inputs or "inputs" in changed:
        changed["inputs"] = [item for item in inputs if set(item) - {"name"}]
    return changed


def _split(place: str) -> tuple[str, str]:
    """An input's name, which may have dots, and its field, which has none."""
    name, _, field = place.removeprefix(_INPUTS).rpartition(".")
    return name, field


def _set(values: dict[str, Any], field: str, value: Any) -> None:
    if value is None:
        values.pop(field, None)
    elif isinstance(value, Mapping):
        values[field] = list(_others(list(values.get(field) or ()), value["without"]))
    else:
        values[field] = value


def _others(arguments: Sequence[str], unwanted: str) -> Iterator[str]:
    """The arguments that do not begin so, and are not the value of one that does."""
    is_value = False
    for item in arguments:
        if item.startswith(unwanted):
            is_value = "=" not in item and " " not in item
        elif not is_value or item.startswith("-"):
            is_value = False
            yield item
        else:
            is_value = False


def _edit_inputs(inputs: list[dict[str, Any]], name: str, field: str, value: Any) -> None:
    """One without a name, where it is the only one, is the model's only input."""
    if name == _EVERY:
        found = inputs
    else:
        found = [item for item in inputs if item.get("name") == name]
        if not found and len(inputs) == 1 and inputs[0].get("name") is None:
            found = inputs
        if not found and value is not None:
            found = [{"name": name}]
            inputs.extend(found)
    for item in found:
        _set(item, field, value)


def differences(old: ConversionSpec, new: ConversionSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The options to add to those of `old` and to omit of them, so that they ask for `new`."""
    before, after = options_of(old), options_of(new)
    added = [word for option in after if option not in before for word in option]
    gone = [shlex.join(option) for option in before if option not in after]
    return tuple(added), tuple(gone)
