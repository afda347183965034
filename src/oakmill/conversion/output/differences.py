"""Says where two results differ: which member of an archive, blob of a superblob, record of a DLC, field of a text.

Some fields tell how and where a result was made and not what it is; such a difference is named as one that may be.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from oakmill.conversion.recipe.read import parse
from oakmill.errors import OakmillError
from oakmill.files import file_sha256
from oakmill.model import unpack
from oakmill.settings import Settings
from oakmill.toolchains.rvc2.blob import read_superblob
from oakmill.toolchains.rvc4 import dlc

VOLATILE = {
    r"toolchains\.\d+\.isolation": "how this machine keeps vendors' tools apart; it changes nothing in their work",
    r"oakmill|code": "another Oakmill",
    r"packages\..*": "another version of a package",
    r"source\.(name|given|given_sha256)": "the same model in another file",
    r"calibration\.(set|names(\.\d+)?)": "the same images under other names",
    r"images(\.\d+)?": "the images that accuracy was measured on; they change nothing in the model",
    r"spec\.(quantization_data|aimet_encodings|max_verification_images|name|inputs.*)": "where this conversion found "
    "what was recorded",
}
"""Fields of a recipe in which two conversions to the same model may differ, and why."""

_SHOWN = 64
_ITEM = re.compile(r"\.\d+$")
_MANY = 3


@dataclass(frozen=True)
class Difference:
    """One place in which two results differ; `volatile` says why it may, empty where it should not."""

    where: str
    before: str
    after: str
    volatile: str = ""

    @property
    def words(self) -> str:
        """In one line."""
        why = f" ({self.volatile})" if self.volatile else ""
        return f"{self.where}: {self.before} -> {self.after}{why}"


def compare_files(name: str, before: Path, after: Path, settings: Settings) -> list[Difference]:
    """All places in which two files of one kind differ; the kind is told by the name's ending.

    A file that is not what its name says is compared as a whole.
    """
    if file_sha256(before) == file_sha256(after):
        return []
    split = next((reader for ending, reader in _READERS.items() if name.endswith(ending)), None)
    try:
        if name.endswith(".tar.xz"):
            return _archives(name, before, after, settings)
        if split:
            found = compare_parts(name, split(before), split(after))
            return found or [Difference(name, "the same content", "written in another way")]
    except OakmillError:
        pass
    return [Difference(name, _described(before), _described(after))]


def _archives(name: str, before: Path, after: Path, settings: Settings) -> list[Difference]:
    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
        sides = []
        for side, path in (("before", before), ("after", after)):
            into = Path(folder) / side
            sides.append({file.relative_to(into).as_posix(): file for file in unpack(path, into, settings)})
        found = _renamed(name, sides[0], sides[1], settings)
        for member in dict.fromkeys((*sides[0], *sides[1])):
            if member in sides[0] and member in sides[1]:
                found += compare_files(f"{name}: {member}", sides[0][member], sides[1][member], settings)
            else:
                there = [_described(side[member]) if member in side else "not there" for side in sides]
                found.append(Difference(f"{name}: {member}", *there))
        return found or [Difference(name, "the same members", "packed in another way")]


def _renamed(name: str, before: dict[str, Path], after: dict[str, Path], settings: Settings) -> list[Difference]:
    """The models in two archives, if they are called otherwise; they are taken out of the two."""
    old, new = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    if len(old) != 1 or len(new) != 1 or Path(old[0]).suffix != Path(new[0]).suffix:
        return []
    ours, theirs = before.pop(old[0]), after.pop(new[0])
    called = Difference(f"{name}: name of the model", old[0], new[0])
    return [called, *compare_files(f"{name}: model{ours.suffix}", ours, theirs, settings)]


def compare_parts(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    """The parts, or fields, whose description is another; or that are on one side only."""
    recipe = name.endswith("recipe.yaml")
    found = [
        Difference(
            f"{name}: {part}",
            before.get(part, "not there"),
            after.get(part, "not there"),
            _why(part) if recipe else "",
        )
        for part in dict.fromkeys((*before, *after))
        if before.get(part) != after.get(part)
    ]
    return list(_gathered(found))


def _gathered(found: list[Difference]) -> Iterator[Difference]:
    """The items of one list in one line, where they are many."""
    for (place, why), items in groupby(found, lambda item: (_ITEM.sub("", item.where), item.volatile)):
        group = list(items)
        if len(group) <= _MANY:
            yield from group
        else:
            more = f" and {len(group) - 1} more"
            yield Difference(place, group[0].before + more, group[0].after + more, why)


def _why(field: str) -> str:
    return next((why for pattern, why in VOLATILE.items() if re.fullmatch(pattern, field)), "")


def _superblob(path: Path) -> dict[str, str]:
    base, patches = read_superblob(path)
    named = {f"patch for {shaves} SHAVEs": patch for shaves, patch in enumerate(patches, 1)}
    return {part: _digest(data) for part, data in {"base blob": base, **named}.items()}


def _dlc(path: Path) -> dict[str, str]:
    return {f"record {name}": _digest(record.read()) for name, record in dlc.read(path).items()}


def _json(path: Path) -> dict[str, str]:
    try:
        return dict(fields(json.loads(path.read_bytes())))
    except (ValueError, RecursionError):
        return {"text": _described(path)}


def _yaml(path: Path) -> dict[str, str]:
    return dict(fields(parse(path.read_bytes(), path.name)))


_READERS: dict[str, Callable[[Path], dict[str, str]]] = {
    ".superblob": _superblob,
    ".dlc": _dlc,
    ".json": _json,
    ".yaml": _yaml,
}


def fields(document: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Every value of a document in words, by its place: `spec.inputs.0.shape`."""
    if isinstance(document, Mapping) and document:
        for key, value in document.items():
            yield from fields(value, f"{at}.{key}" if at else str(key))
    elif isinstance(document, list) and any(isinstance(item, Mapping | list) for item in document):
        for index, value in enumerate(document):
            yield from fields(value, f"{at}.{index}")
    elif isinstance(document, list) and len(document) > 1 and len(str(document)) > _SHOWN:
        yield from ((f"{at}.{index}", str(value)) for index, value in enumerate(document))
    else:
        yield at, "nothing" if document is None else str(document)


def _described(path: Path) -> str:
    return f"{path.stat().st_size} bytes, sha256 {file_sha256(path)[:16]}"


def _digest(data: bytes) -> str:
    return f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}"
