"""Reads YAML that may come from anybody: plain values alone, of sane extent, each key once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from oakmill.errors import SourceError, SpecError

MOST_VALUES = 20_000  # aliases counted as often as they are used
_DEEPEST = 16


class _Loader(yaml.SafeLoader):
    """YAML's plain values alone; a key that comes twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are text, each of which comes once."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if "<<" in names:
            raise SpecError("the configuration merges keys (<<), which is not read", remedy="write them out")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SpecError(f"the key {twice[0]!r} comes twice in the configuration", subject=str(twice[0]))
        return super().construct_mapping(node, deep)


def load(path: Path, largest: int) -> dict[str, Any]:
    """The mapping in a file of `largest` bytes at most.

    Raises:
        SourceError: it cannot be read.
        SpecError: it is too large, no YAML, or no mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error
    if len(data) > largest:
        raise SpecError(f"{path.name} is larger than {largest >> 10} kB, which no configuration is", subject=str(path))
    try:
        document = yaml.load(data.decode(), Loader=_Loader)
        _check_extent(document)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError, TypeError) as error:
        words = str(getattr(error, "problem", None) or error).splitlines()[:1]
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise SpecError(f"{path.name} is not valid YAML{where}: {''.join(words)}", subject=str(path)) from error
    if not isinstance(document, dict) or not document:
        raise SpecError(f"{path.name} holds no keys with values, so no configuration", subject=str(path))
    return {str(key): value for key, value in document.items()}


def _check_extent(document: Any) -> None:
    """Look at all values as they are once aliases are replaced.

    Raises:
        ValueError: there are too many, or they are nested too deep.
    """
    waiting = [(document, 0)]
    for _ in range(MOST_VALUES):
        if not waiting:
            return
        item, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError("it is nested too deep")
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting.extend((part, depth + 1) for part in inner)
    raise ValueError(f"it holds more than {MOST_VALUES} values")
