"""Reads the words of a SNPE command against an exact list: full names, once, with values of the known form.

The list says of each option which way it goes, for Oakmill may run without Qualcomm's tools. SNPE's options differ
from other tools' in taking several values (`--input_dim NAME 1,3,224,224`), and in values that begin with a dash.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum

from oakmill.errors import ArgumentRefused
from oakmill.toolchains.arguments import LONGEST_VALUE

SDK_REMEDY = "or name your own Qualcomm SDK with --qairt-root: its tool takes this argument as it is"


class Way(Enum):
    """Which way an option goes."""

    OURS = "Oakmill carries it out itself, before any tool"
    MAPPED = "the user's SDK carries it out, or Oakmill where there is none"
    SAME = "it asks for what Oakmill does anyway; a user's SDK is told of it"
    SDK = "only the user's SDK can do it"
    NEVER = "it is refused, SDK or not"


@dataclass(frozen=True)
class Argument:
    """One option of a tool.

    `values` are the forms of its values, of which `least` must be there; with `many`, the last form may come again.
    `why` is the reason for refusing it, or for its changing nothing; `why_value` and `same_value` are the same for
    single values, where Oakmill works without an SDK.
    """

    way: Way
    values: tuple[str, ...] = ()
    help: str = ""
    why: str = ""
    least: int | None = None
    many: bool = False
    repeats: bool = False
    why_value: Mapping[str, str] = field(default_factory=dict)
    same_value: Mapping[str, str] = field(default_factory=dict)

    @property
    def needed(self) -> int:
        """How many values there must be."""
        return len(self.values) if self.least is None else self.least

    def fits(self, position: int, value: str) -> bool:
        """Whether it may have `value` as its value number `position`, from 0."""
        if position >= len(self.values) and not self.many:
            return False
        form = self.values[min(position, len(self.values) - 1)]
        return len(value) <= LONGEST_VALUE and re.fullmatch(form, value) is not None


@dataclass(frozen=True)
class Given:
    """An option that was given, by its full name, with its checked values."""

    tool: str
    name: str
    values: tuple[str, ...]
    described: Argument

    def __str__(self) -> str:
        return f"{self.tool} argument {self.name!r}"

    @property
    def words(self) -> tuple[str, ...]:
        """The words for the tool itself; a value that looks like an option is glued on."""
        if len(self.values) == 1 and self.values[0].startswith("-"):
            return (f"{self.name}={self.values[0]}",)
        return (self.name, *self.values)


def parse(
    tool: str, words: Sequence[str], known: Mapping[str, Argument], aliases: Mapping[str, str]
) -> tuple[Given, ...]:
    """The options in the words, in order, each checked.

    Raises:
        ArgumentRefused: an option is unknown, never taken, given twice, or its values have the wrong form.
    """
    found: list[Given] = []
    waiting = deque(words)
    while waiting:
        given = _next(tool, waiting, known, aliases)
        if not given.described.repeats and any(given.name == earlier.name for earlier in found):
            raise ArgumentRefused(f"{given} is given twice", remedy="give it once")
        found.append(given)
    return tuple(found)


def _next(tool: str, waiting: deque[str], known: Mapping[str, Argument], aliases: Mapping[str, str]) -> Given:
    """The next option, with its values, taken from the words that wait."""
    word = waiting.popleft()
    if not word.startswith("-"):
        raise ArgumentRefused(
            f"{tool} argument {word[:80]!r} does not belong to an option",
            remedy="write --name value or --name=value, each word for itself",
        )
    name, equals, glued = word.partition("=")
    name = aliases.get(name, name)
    described = known.get(name)
    if described is None:
        raise _unknown(tool, name, known)
    if described.way is Way.NEVER:
        raise ArgumentRefused(f"{tool} argument {name!r} is not passed on: {described.why}")
    values = (glued,) if equals else tuple(_values(waiting, described))
    given = Given(tool, name, values, described)
    _check(given)
    return given


def _values(waiting: deque[str], described: Argument) -> list[str]:
    """The words that follow an option and are its values."""
    found: list[str] = []
    while waiting and (len(found) < len(described.values) or described.many):
        if waiting[0].startswith("-") and not described.fits(len(found), waiting[0]):
            break
        found.append(waiting.popleft())
    return found


def _check(given: Given) -> None:
    described, values = given.described, given.values
    if not described.values and values:
        raise ArgumentRefused(f"{given} takes no value, but {values[0][:80]!r} was given")
    if len(values) < described.needed:
        count = "a value" if described.needed == 1 else f"{described.needed} values"
        raise ArgumentRefused(f"{given} needs {count}", remedy=described.help)
    for position, value in enumerate(values):
        if not described.fits(position, value):
            raise ArgumentRefused(f"{given} cannot have the value {value[:80]!r}", remedy=described.help)


def _unknown(tool: str, name: str, known: Mapping[str, Argument]) -> ArgumentRefused:
    taken = sorted(other for other, described in known.items() if described.way is not Way.NEVER)
    close = get_close_matches(name, taken, n=3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return ArgumentRefused(
        f"{tool} argument {name[:80]!r} is not one that is known",
        remedy=f"{hint}known are: {', '.join(taken)}",
    )


def travel(given: Given, *, sdk: bool) -> str:
    """Check that the option can go its way, and say in a note why it changes nothing, where that is so.

    Raises:
        ArgumentRefused: it needs the vendor's own tool, and there is no SDK.
    """
    described = given.described
    if sdk and described.way is not Way.OURS:
        return ""
    for value in given.values:
        if value in described.why_value:
            raise ArgumentRefused(f"{given} cannot be {value!r} here: {described.why_value[value]}", remedy=SDK_REMEDY)
        if value in described.same_value:
            return f"{given.name} {value}: {described.same_value[value]}"
    if described.way is Way.SDK:
        raise ArgumentRefused(f"{given} needs Qualcomm's own tool: {described.why}", remedy=SDK_REMEDY)
    return f"{given.name}: {described.why}" if described.way is Way.SAME else ""
