"""Albums of calibration sets: small images, names and the doctor's report, made once by a worker and cached."""

from __future__ import annotations

import base64
import hashlib
import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from oakmill.calibration.datasets import SetRecord, store
from oakmill.calibration.datasets.files import find_files
from oakmill.calibration.doctor import Diagnosis, Expectation
from oakmill.errors import NotFound
from oakmill.files import atomic_write
from oakmill.hub.state import Hub
from oakmill.registry.tables import Dataset
from oakmill.settings import Settings
from oakmill.untrusted.ask import Lay
from oakmill.untrusted.folder import link_or_copy
from oakmill.untrusted.questions import SET_FOLDER, SET_ZIP, ExamineSet, SetFacts
from oakmill.web import cache

MOST = 64
"""More albums are not stored; the one that was made first goes first."""
_INDEX = "index.json"


@dataclass(frozen=True)
class SetFiles:
    """A calibration set, by the digest of what is in it, and how a worker is given it."""

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

    def laid(self, at: Hub) -> dict[str, Lay]:
        """Its files, as a worker is given them."""
        folder = self.folder
        if folder is None:
            return {SET_ZIP: partial(at.blobs.fetch, self.sha256)}
        found = find_files(folder)
        return {f"{SET_FOLDER}/{path.relative_to(folder).as_posix()}": partial(link_or_copy, path) for path in found}


@dataclass(frozen=True)
class Album:
    """What is known of a set's files."""

    facts: SetFacts
    _places: dict[str, int] = field(default_factory=dict, repr=False)

    def place_of(self, name: str) -> int:
        """The number of the file of that name."""
        if not self._places:
            self._places.update({name: place for place, name in enumerate(self.facts.names)})
        return self._places[name]


def image(at: Hub, files: SetFiles, number: int) -> bytes:
    """The small image (JPEG) of a file of an album.

    Raises:
        NotFound: there is none.
    """
    try:
        return (_folder(at, files) / f"{number}.jpg").read_bytes()
    except FileNotFoundError:
        raise NotFound(f"The set has no image {number}.", subject=str(number)) from None


def album(at: Hub, files: SetFiles, owner: str) -> Album:
    """The set's album; made now, for a team, where it is not there.

    Raises:
        OakmillError: the set cannot be looked at; as `IsolatedWorkers.asking`.
    """
    folder = _folder(at, files)
    facts = _read(folder / _INDEX)
    if facts is None:
        facts = at.isolated.ask(ExamineSet(images="all"), files.laid(at), owner)
        shutil.rmtree(folder, ignore_errors=True)  # what an older Oakmill left, which cannot be read
        _store(folder, facts)
    return Album(facts)


def diagnosis(at: Hub, files: SetFiles, expected: Expectation, owner: str) -> Diagnosis:
    """What the doctor says of the set for a model of which something is known; cached, as it takes a while."""
    path = _report(_folder(at, files), expected)
    facts = _read(path)
    if facts is None:
        facts = at.isolated.ask(ExamineSet(expected=expected), files.laid(at), owner)
        if path.parent.is_dir():
            atomic_write(path, facts.model_dump_json())
    return facts.doctor


def _read(path: Path) -> SetFacts | None:
    try:
        return SetFacts.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def is_made(at: Hub, files: SetFiles, expected: Expectation | None = None) -> bool:
    """Whether the album is there, with what the doctor says of that model."""
    folder = _folder(at, files)
    return (folder / _INDEX).is_file() and (expected is None or _report(folder, expected).is_file())


def forget(at: Hub, sha256: str) -> None:
    """Throw an album away."""
    shutil.rmtree(_folder(at, SetFiles(sha256)), ignore_errors=True)


def _folder(at: Hub, files: SetFiles) -> Path:
    return at.settings.hub.absolute() / "albums" / files.sha256


def _report(folder: Path, expected: Expectation) -> Path:
    return folder / f"doctor-{hashlib.sha256(repr(expected).encode()).hexdigest()[:24]}.json"


def _store(folder: Path, facts: SetFacts) -> None:
    with cache.making(folder, MOST) as made:
        for number, small in enumerate(facts.images):
            if small:
                (made / f"{number}.jpg").write_bytes(base64.b64decode(small))
        (made / _INDEX).write_text(facts.model_copy(update={"images": ()}).model_dump_json())
