"""Albums of calibration sets: small images, names and the doctor's report, made once by a process apart and cached."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oakmill.calibration.datasets import SetRecord, store
from oakmill.errors import NotFound
from oakmill.files import atomic_write
from oakmill.hub.state import Hub
from oakmill.registry.tables import Dataset
from oakmill.settings import Settings
from oakmill.web import cache
from oakmill.web.apart import Bench, bench

MOST = 64
"""More albums are not stored; the one that was made first goes first."""
_INDEX = "index.json"


@dataclass(frozen=True)
class SetFiles:
    """A calibration set, by the digest of what is in it, and how it is laid before the process apart."""

    sha256: str
    folder: Path | None = None

    @classmethod
    def of_row(cls, row: Dataset) -> SetFiles:
        """A team's own set: a zip in the store."""
        return cls(row.sha256)

    @classmethod
    def of_record(cls, record: SetRecord, settings: Settings) -> SetFiles:
        """A named set: a folder on this machine."""
        return cls(record.sha256, store.folder_of(record.name, settings) / store.FILES)

    def ask(self, at: Hub, **more: Any) -> dict[str, Any]:
        """What the process apart says of it."""
        with bench(at) as place:
            request, read = self.laid(place)
            return place.ask("pictures", {**request, **more}, read=read)

    def laid(self, place: Bench) -> tuple[dict[str, Any], Sequence[Path]]:
        """The words of a request that say where its files are, and the folders that may be read for it."""
        if self.folder is not None:
            return {"folder": str(self.folder)}, [self.folder]
        place.lay("set.zip", self.sha256)
        return {"max_mb": place.at.settings.datasets_max_mb}, ()


@dataclass(frozen=True)
class Album:
    """What is known of a set's files, in the order of their names; `sizes` are of those that are images."""

    folder: Path
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int] | None, ...]
    doctor: Mapping[str, Any]
    histogram: tuple[tuple[float, ...], ...] = ()
    left_out: int = 0
    _places: dict[str, int] = field(default_factory=dict, repr=False)

    def place_of(self, name: str) -> int:
        """The number of the file of that name."""
        if not self._places:
            self._places.update({name: place for place, name in enumerate(self.names)})
        return self._places[name]

    def image(self, number: int) -> bytes:
        """The small image (JPEG) of a file.

        Raises:
            NotFound: there is none.
        """
        try:
            return (self.folder / f"{number}.jpg").read_bytes()
        except FileNotFoundError:
            raise NotFound(f"The set has no image {number}.", subject=str(number)) from None


def album(at: Hub, files: SetFiles) -> Album:
    """The set's album; made now where it is not there.

    Raises:
        SourceError, LimitExceeded: the set cannot be looked at.
    """
    folder = _folder(at, files)
    if not (folder / _INDEX).is_file():
        _store(folder, files.ask(at))
    found = json.loads((folder / _INDEX).read_text())
    return Album(
        folder,
        tuple(found["names"]),
        tuple(tuple(size) if size else None for size in found["sizes"]),
        found["doctor"],
        tuple(map(tuple, found["histogram"])),
        found["left_out"],
    )


def diagnosis(at: Hub, files: SetFiles, expected: Mapping[str, Any]) -> dict[str, Any]:
    """What the doctor says of the set for a model of which something is known; cached, as it takes a while."""
    path = _report(_folder(at, files), expected)
    if path.is_file():
        cached: dict[str, Any] = json.loads(path.read_text())
        return cached
    found: dict[str, Any] = files.ask(at, expected=expected, diagnosis_only=True)["doctor"]
    if path.parent.is_dir():
        atomic_write(path, json.dumps(found))
    return found


def is_made(at: Hub, files: SetFiles, expected: Mapping[str, Any] | None = None) -> bool:
    """Whether the album is there, with what the doctor says of that model."""
    folder = _folder(at, files)
    return (folder / _INDEX).is_file() and (expected is None or _report(folder, expected).is_file())


def forget(at: Hub, sha256: str) -> None:
    """Throw an album away."""
    shutil.rmtree(_folder(at, SetFiles(sha256)), ignore_errors=True)


def _folder(at: Hub, files: SetFiles) -> Path:
    return at.settings.hub.absolute() / "albums" / files.sha256


def _report(folder: Path, expected: Mapping[str, Any]) -> Path:
    asked = hashlib.sha256(json.dumps(expected, sort_keys=True).encode()).hexdigest()[:24]
    return folder / f"doctor-{asked}.json"


def _store(folder: Path, found: dict[str, Any]) -> None:
    with cache.making(folder, MOST) as made:
        for number, small in enumerate(found.pop("small")):
            if small:
                (made / f"{number}.jpg").write_bytes(base64.b64decode(small))
        (made / _INDEX).write_text(json.dumps(found))
