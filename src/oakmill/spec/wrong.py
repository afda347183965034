"""What pydantic finds wrong with a value, in plain words: its own are about a validator, not about what was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

LONGEST = 200
"""Characters that are shown of a value."""

Limits = Mapping[str, Any]

_WORDS: dict[str, Callable[[Limits], str]] = {
    "missing": lambda _: "it is missing",
    "extra_forbidden": lambda _: "there is no such field",
    "value_error": lambda limits: str(limits["error"]),
    "json_invalid": lambda limits: f"it is no JSON: {limits['error']}",
}
"""Sentences of their own, by pydantic's type of an error."""

_OF_VALUE: dict[str, Callable[[Limits], str]] = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), lambda _: "is no whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), lambda _: "is no number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), lambda _: "is neither true nor false"),
    **dict.fromkeys(("string_type", "path_type"), lambda _: "is no text"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), lambda _: "is no list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), lambda _: "has no fields"),
    **dict.fromkeys(("enum", "literal_error"), lambda limits: f"is not {limits['expected']}"),
    "finite_number": lambda _: "is no finite number",
    "greater_than": lambda limits: f"has to be more than {_number(limits['gt'])}",
    "greater_than_equal": lambda limits: f"has to be {_number(limits['ge'])} or more",
    "less_than": lambda limits: f"has to be less than {_number(limits['lt'])}",
    "less_than_equal": lambda limits: f"has to be {_number(limits['le'])} or less",
    "string_too_long": lambda limits: f"has more than {limits['max_length']} characters",
    "string_too_short": lambda limits: f"has fewer than {limits['min_length']} characters",
    "string_pattern_mismatch": lambda limits: f"is not of the form {limits['pattern']}",
    "too_long": lambda limits: f"has more than {limits['max_length']} items",
    "too_short": lambda limits: f"has fewer than {limits['min_length']} items",
}
"""What follows upon the value."""


def in_words(item: ErrorDetails | Mapping[str, Any]) -> str:
    """One of `ValidationError.errors()` as a sentence without a full stop, which begins with the value."""
    kind, limits = item["type"], item.get("ctx") or {}
    if kind in _WORDS:
        return _WORDS[kind](limits)
    if kind in _OF_VALUE:
        return f"{_shown(item.get('input'))} {_OF_VALUE[kind](limits)}"
    return str(item["msg"])


def place_of(item: ErrorDetails | Mapping[str, Any]) -> str:
    """Where it is wrong: `inputs.0.shape`; nothing where it is the whole."""
    return ".".join(map(str, item["loc"]))


def first_of(errors: Sequence[ErrorDetails], whole: str = "") -> tuple[str, str]:
    """Where the first of them is, `whole` where that is everything, and its words."""
    return place_of(errors[0]) or whole, in_words(errors[0])


def _number(limit: Any) -> Any:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        return "it"
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
