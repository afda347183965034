"""Checks a user's raw tool arguments against an exact list of those that are safe to pass on.

A list of what is forbidden fails: tools take abbreviations, glued options and files of options. So an option is
passed on only under its full name, once, with a value of the known form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from oakmill.errors import ArgumentRefused

LONGEST_VALUE = 2000


@dataclass(frozen=True)
class Option:
    """One option of a tool: the form of its value (None: it takes none), or why it is refused."""

    value: re.Pattern[str] | None = None
    help: str = ""
    refused: str = ""
    repeats: bool = False


def option(pattern: str, help: str = "", *, repeats: bool = False) -> Option:
    """An option whose value has the form `pattern`."""
    return Option(re.compile(pattern), help, repeats=repeats)


def flag(help: str = "") -> Option:
    """An option without a value."""
    return Option(None, help)


def refused(reason: str) -> Option:
    """An option that is never passed on."""
    return Option(refused=reason)


def parse(tool: str, arguments: Sequence[str], known: Mapping[str, Option]) -> list[tuple[str, str | None]]:
    """The options and their values, in order, each checked.

    Raises:
        ArgumentRefused: an option is unknown, refused, given twice, or its value has the wrong form.
    """
    found: list[tuple[str, str | None]] = []
    for name, value in _split(tool, arguments, known):
        described = known.get(name)
        if described is None:
            raise ArgumentRefused(
                f"{tool} argument {name!r} is not one that can be passed on",
                remedy=f"known are: {', '.join(sorted(n for n, o in known.items() if not o.refused))}",
            )
        if described.refused:
            raise ArgumentRefused(f"{tool} argument {name!r} is not passed on: {described.refused}")
        if not described.repeats and any(name == earlier for earlier, _ in found):
            raise ArgumentRefused(f"{tool} argument {name!r} is given twice", remedy="give it once")
        _check_value(tool, name, value, described)
        found.append((name, value))
    return found


def _split(tool: str, arguments: Sequence[str], known: Mapping[str, Option]) -> Iterator[tuple[str, str | None]]:
    """`--name value` and `--name=value` as pairs."""
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-"):
            raise ArgumentRefused(
                f"{tool} argument {word!r} does not belong to an option",
                remedy="write --name value or --name=value",
            )
        name, equals, value = word.partition("=")
        takes_value = name in known and known[name].value is not None
        if not equals and takes_value and waiting and not waiting[0].startswith("-"):
            yield name, waiting.pop(0)
        else:
            yield name, value if equals else None


def _check_value(tool: str, name: str, value: str | None, described: Option) -> None:
    if described.value is None:
        if value is not None:
            raise ArgumentRefused(f"{tool} argument {name!r} takes no value, but {value[:80]!r} was given")
        return
    if value is None:
        raise ArgumentRefused(f"{tool} argument {name!r} needs a value", remedy=described.help)
    if len(value) > LONGEST_VALUE or not described.value.fullmatch(value):
        raise ArgumentRefused(f"{tool} argument {name!r} cannot have the value {value[:80]!r}", remedy=described.help)
