"""Says which classes a pickle names, without opening it: to open a pickle is to run what is written in it."""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Iterator
from itertools import islice

MAX_OPERATIONS = 300_000
_MAX_PICKLES = 5  # the old format of PyTorch: a magic number, a version, the system, the object, its storages' keys
_NAME = re.compile(r"[\w.]{1,100}")
_PARTS_OF_TORCH = re.compile(r"(torch|collections|numpy)(\.|$)|(__builtin__|builtins)\.(set|frozenset|object)$")


def classes(data: bytes) -> tuple[str, ...]:
    """The full names of all that is imported, each once, in order; of a damaged pickle those before the damage.

    Names with other letters than identifiers have are given in quotes.
    """
    found: dict[str, None] = {}
    file = io.BytesIO(data)
    try:
        for _ in range(_MAX_PICKLES):
            found |= dict.fromkeys(_imported(file))
    except (ValueError, IndexError, OverflowError):  # what pickletools raises on bytes that are no pickle
        pass
    return tuple(found)


def foreign(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those that belong neither to PyTorch nor to what its weights are kept in."""
    return tuple(name for name in names if not _PARTS_OF_TORCH.match(name))


def _imported(file: io.BytesIO) -> Iterator[str]:
    """The names in the next pickle of the file; newer protocols put the two halves of one on the stack first."""
    pushed: list[str] = []
    kept: dict[int, str] = {}
    for code, argument, _ in islice(pickletools.genops(file), MAX_OPERATIONS):
        if code.name in ("GLOBAL", "INST"):
            yield _readable(str(argument).replace(" ", ".", 1))
        elif code.name == "STACK_GLOBAL":
            yield _readable(".".join(pushed[-2:]))
        elif code.name == "MEMOIZE":
            kept[len(kept)] = pushed[-1] if pushed else ""
        elif code.name in ("BINPUT", "LONG_BINPUT", "PUT"):
            kept[int(argument or 0)] = pushed[-1] if pushed else ""
        elif code.name in ("BINGET", "LONG_BINGET", "GET"):
            pushed = [*pushed[-1:], kept.get(int(argument or 0), "")]
        elif isinstance(argument, str):
            pushed = [*pushed[-1:], argument]


def _readable(name: str) -> str:
    return name if _NAME.fullmatch(name) else ascii(name[:100])
