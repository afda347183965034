"""Reads a configuration file as users of Luxonis' modelconverter write it: safely, and nothing outside its folders."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oakmill.errors import SpecError
from oakmill.files import atomic_write

if TYPE_CHECKING:
    from oakmill.settings import Settings
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


@dataclass(frozen=True)
class Reading:
    """How a configuration is read: its folder of files, the stage that is meant, and whether a cache is prepared."""

    settings: Settings
    root: Path | None = None
    stage: str = ""
    prepares: bool = False


def read_config(path: Path, platform: str, reading: Reading) -> Request:
    """What the configuration asks of a conversion to `platform`; its paths are those of files that are there.

    Raises:
        SourceError: it cannot be read, or what it names cannot be fetched.
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
    places = Places.of(path, reading)
    request = translate(document, platform, places.find, stage_name=reading.stage, prepares=reading.prepares)
    if request.encodings is not None:
        request.values["aimet_encodings"] = _written(request.encodings, reading.settings)
    if request.weights and request.weights != request.model.with_suffix(".bin"):
        raise SpecError(
            f"input_bin names {request.weights.name}; the weights of {request.model.name} must be called "
            f"{request.model.with_suffix('.bin').name} and lie beside it",
            subject="input_bin",
        )
    return request


def _written(encodings: Mapping[str, Any], settings: Settings) -> Path:
    """A file of the encodings that stand in a configuration, at the same place for the same ones."""
    data = json.dumps(encodings, indent=1, sort_keys=True).encode()
    target = settings.cache / "encodings" / f"{hashlib.sha256(data).hexdigest()}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(target, data, mode=0o600)
    return target


@dataclass(frozen=True)
class Places:
    """Where the files of a configuration may lie: in its own folder, or in that of the tree that it belongs to."""

    folders: tuple[Path, ...]
    settings: Settings

    @classmethod
    def of(cls, path: Path, reading: Reading) -> Places:
        """Those of a configuration: paths begin at the root, where there is one, else at its folder."""
        roots = (reading.root.resolve(),) if reading.root else ()
        return cls((*roots, path.resolve().parent), reading.settings)

    def find(self, key: str, text: str) -> Path:
        """The file or folder at a path that the configuration names; what is elsewhere is fetched where that may be.

        Raises:
            SpecError: it lies outside, is not there, or may not be fetched.
            SourceError: it cannot be fetched.
        """
        if _URL.match(text):
            from oakmill.cli.fetching import fetch

            return fetch(key, text, self.settings)
        found = [(folder / text).resolve() for folder in self.folders if "\0" not in text]
        inside = [place for place in found if any(place.is_relative_to(folder) for folder in self.folders)]
        if not inside:
            raise SpecError(
                f"the key {key!r} names {text[:200]!r}, which lies outside the configuration's folder",
                subject=key,
                remedy="put it into the folder of the configuration, and name it from there; or name the folder in "
                "which both lie, and from which paths begin: --root FOLDER",
            )
        there = next((place for place in inside if place.exists()), None)
        if there is None:
            dataset = key.startswith("calibration") and _DATASET.match(text)
            why = "datasets of Luxonis' own format (NAME:SPLIT) are not read" if dataset else "there is no such file"
            raise SpecError(
                f"the key {key!r} names {text[:200]!r}: {why}",
                subject=key,
                remedy=f"paths begin at {' or '.join(map(str, self.folders))}; --root FOLDER names another",
            )
        return there
