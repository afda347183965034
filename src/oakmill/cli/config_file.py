"""Reads a configuration file as users of Luxonis' modelconverter write it: safely, and nothing outside its folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from oakmill.errors import SpecError

if TYPE_CHECKING:
    from oakmill.spec.yaml_blocks import Request

LARGEST = 1 << 16  # bytes
_KEYS = re.compile(r"""^\s*["']?(input_model|stages)["']?\s*:""", re.MULTILINE)
_SUFFIXES = (".yaml", ".yml")
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_DATASET = re.compile(r"^[\w.-]+:[\w.-]+$")


def is_config(path: Path) -> bool:
    """Whether a file is such a configuration: text with the keys input_model or stages, or YAML by its name."""
    try:
        if not path.is_file():  # a pipe would be waited for, and some devices never end
            return False
        with path.open("rb") as file:
            head = file.read(LARGEST)
    except (OSError, ValueError):
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
    from oakmill.cli.safe_yaml import load
    from oakmill.spec.yaml_config import translate

    document = load(path, LARGEST)
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
