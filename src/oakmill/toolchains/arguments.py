"""Checks a user's raw tool arguments against an exact list of those that are safe to pass on.

A list of what is forbidden fails: tools take abbreviations, glued options and files of options. So an option is
passed on only under its full name, once, with a value of the known form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True)
class Key:
    """One key of a tool's configuration file: what it takes, in words, and whether a value is that."""

    words: str
    fits: Callable[[str], bool]


@dataclass(frozen=True)
class CompileToolArguments:
    """What a compile_tool was given: values by the names of options, and the `-c KEY=VALUE` for its configuration."""

    values: Mapping[str, str]
    config: Mapping[str, str]

    def by_port(self, name: str) -> dict[str, str]:
        """The value of an option that speaks of inputs and outputs by name: `image:U8,logits:FP16`."""
        parts = (part.rpartition(":") for part in self.values.get(name, "").split(",") if part)
        return {port: value for port, _, value in parts}


def option(pattern: str, help: str = "", *, repeats: bool = False) -> Option:
    """An option whose value has the form `pattern`."""
    return Option(re.compile(pattern), help, repeats=repeats)


def flag(help: str = "") -> Option:
    """An option without a value."""
    return Option(None, help)


def refused(reason: str) -> Option:
    """An option that is never passed on."""
    return Option(refused=reason)


def one_of(words: str, values: Iterable[str]) -> Key:
    """A key that takes one of some values."""
    return Key(words, frozenset(values).__contains__)


OURS = "the conversion sets it"
COMPILE_TOOL = {
    "m": refused(OURS),
    "o": refused(OURS),
    "h": refused("it prints help and compiles nothing"),
    "flagfile": refused("it reads options from any file"),
    "fromenv": refused("it reads options from the environment"),
    "tryfromenv": refused("it reads options from the environment"),
    "undefok": refused("it hides misspelt options"),
}
"""The options that every compile_tool has and that are never passed on."""


def read_compile_tool(
    arguments: Sequence[str], options: Mapping[str, Option], keys: Mapping[str, Key]
) -> CompileToolArguments:
    """Check the arguments of a compile_tool, whose options have one dash or two.

    Raises:
        ArgumentRefused: an argument is unknown, unsafe, set by the conversion itself, or malformed.
    """
    known = {**COMPILE_TOOL, **options}
    known["c"] = option(r"[A-Z_]+[= ]\w+", "one KEY=VALUE of " + ", ".join(keys), repeats=True)
    dashes = {f"{dash}{name}": described for name, described in known.items() for dash in ("-", "--")}
    given: dict[str, str] = {}
    config: dict[str, str] = {}
    for name, value in parse("compile_tool", arguments, dashes):
        if name.lstrip("-") == "c":
            config.update([_config_entry(value or "", keys)])
        elif name.lstrip("-") in given:
            raise ArgumentRefused(f"compile_tool argument {name!r} is given twice", remedy="give it once")
        else:
            given[name.lstrip("-")] = value or ""
    return CompileToolArguments(given, config)


def _config_entry(text: str, keys: Mapping[str, Key]) -> tuple[str, str]:
    key, _, value = text.replace(" ", "=").partition("=")
    if key not in keys:
        raise ArgumentRefused(
            f"compile_tool configuration key {key!r} is not one that can be set",
            remedy=f"known are: {', '.join(keys)}",
        )
    if not keys[key].fits(value):
        raise ArgumentRefused(f"{key} cannot be {value!r}", remedy=f"it takes {keys[key].words}")
    return key, value


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
