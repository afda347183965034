"""Reads a configuration file as users of Luxonis' modelconverter write it: safely, and nothing outside its folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from oakmill.errors import SourceError, SpecError
from oakmill.spec.yaml_blocks import Request
from oakmill.spec.yaml_config import translate

LARGEST = 1 << 16  # bytes
MOST_VALUES = 20_000  # aliases counted as often as they are used
_DEEPEST = 16
_KEYS = re.compile(r"""^\s*["']?(input_model|stages)["']?\s*:""", re.MULTILINE)
_SUFFIXES = (".yaml", ".yml")
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_DATASET = re.compile(r"^[\w.-]+:[\w.-]+$")


def is_config(path: Path) -> bool:
    """Whether a file is such a configuration: text with the keys input_model or stages, or YAML by its name."""
    try:
        with path.open("rb") as file:
            head = file.read(LARGEST)
    except OSError:
        return False
    if b"\0" in head:
        return False
    return path.suffix.lower() in _SUFFIXES or bool(_KEYS.search(head.decode(errors="ignore")))


def read_config(path: Path, platform: str) -> Request:
    """What the configuration asks of a conversion to `platform`; its paths are those of files that are there.

    Raises:
        SourceError: it cannot be read.
        SpecError: it is no YAML of sane size, or a key is unknown, unsafe or cannot be carried out.
    """
    document = _load(path)
    if "recipe_version" in document:
        raise SpecError(
            f"{path.name} is the recipe of a conversion, not a configuration",
            subject=str(path),
            remedy=f"oakmill replay {path.name}",
        )
    folder = path.resolve().parent
    request = translate(document, platform, lambda key, text: _place(key, text, folder))
    if request.weights and request.weights != request.model.with_suffix(".bin"):
        raise SpecError(
            f"input_bin names {request.weights.name}; the weights of {request.model.name} must be called "
            f"{request.model.with_suffix('.bin').name} and lie beside it",
            subject="input_bin",
        )
    return request


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


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error
    if len(data) > LARGEST:
        raise SpecError(f"{path.name} is larger than {LARGEST >> 10} kB, which no configuration is", subject=str(path))
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


def _place(key: str, text: str, folder: Path) -> Path:
    """The file or folder at a path that the configuration names, which lies within the configuration's own folder.

    Raises:
        SpecError: it lies elsewhere, or is not there.
    """
    if _URL.match(text):
        raise SpecError(
            f"the key {key!r} names {text[:200]!r}: nothing is fetched",
            subject=key,
            remedy="fetch it yourself, and name the file",
        )
    place = (folder / text).resolve() if "\0" not in text else None
    if place is None or not place.is_relative_to(folder):
        raise SpecError(
            f"the key {key!r} names {text[:200]!r}, which lies outside the configuration's folder",
            subject=key,
            remedy="put it into the folder of the configuration, and name it from there",
        )
    if not place.exists():
        dataset = key.startswith("calibration") and _DATASET.match(text)
        why = "datasets of Luxonis' own format (NAME:SPLIT) are not read" if dataset else "there is no such file"
        raise SpecError(
            f"the key {key!r} names {text[:200]!r}: {why}",
            subject=key,
            remedy=f"paths begin at the configuration's folder, {folder}",
        )
    return place
