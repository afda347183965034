"""A team's own calibration sets: a zip that has come whole becomes one, and one is cleared of what cannot be used."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Collection
from functools import partial
from pathlib import Path

from oakmill.calibration.datasets.zips import unpack
from oakmill.errors import Conflict, OakmillError
from oakmill.hub.state import Hub
from oakmill.registry import datasets
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import slugify
from oakmill.registry.tables import Dataset
from oakmill.storage.blobs import Stored
from oakmill.untrusted.questions import SET_ZIP, ExamineSet, SetFacts


def receive(at: Hub, caller: Caller, name: str, stored: Stored, team_id: str, *, file: str = SET_ZIP) -> str:
    """Look at a zip that is in the store, and make it a set; its identifier. The same one again is the same set.

    Raises:
        SourceError, UnsafeSource, LimitExceeded: it is no zip of images, or cannot be read.
        SpecError: the name is none.
        Conflict: there is another set of that name.
    """
    if same := _same(at, caller, name, stored):
        return same
    found = examined(at, stored, team_id, file=file)
    try:
        return _made(at, caller, name, stored, found)
    except Conflict:  # another request may have been quicker
        if same := _same(at, caller, name, stored):
            return same
        raise


def _same(at: Hub, caller: Caller, name: str, stored: Stored) -> str | None:
    """The set of that name in an address, if it has these bytes."""
    slug = slugify(name)
    with at.db.reading() as session:
        rows = datasets.listed(session, caller)
        return next((row.id for row in rows if row.slug == slug and row.sha256 == stored.sha256), None)


def _made(at: Hub, caller: Caller, name: str, stored: Stored, found: SetFacts) -> str:
    with at.db.session() as session:
        at.blobs.record(session, stored)
        made = datasets.create(
            session, caller, name=name, sha256=stored.sha256, size=stored.size,
            count=found.count, report=found.as_report(),
        )  # fmt: skip
        return made.id


def examined(at: Hub, stored: Stored, team_id: str, *, file: str = SET_ZIP) -> SetFacts:
    """What is in a zip of images; what is wrong with it is told under its own name."""
    files = {SET_ZIP: partial(at.blobs.fetch, stored.sha256)}
    try:
        return at.isolated.ask(ExamineSet(images="few"), files, team_id)
    except OakmillError as error:
        error.message = error.message.replace(SET_ZIP, file)
        raise


def clear(at: Hub, caller: Caller, row: Dataset, unwanted: Collection[str]) -> None:
    """Take files out of a set, by their places in it; labels stay. It keeps its name, and has another hash then.

    Raises:
        Conflict: nothing would be left.
        SourceError, UnsafeSource, TooLarge: its zip cannot be read, or the store is full.
    """
    with tempfile.TemporaryDirectory(prefix="oakmill-set-") as work:
        stored = _cleared(at, row, unwanted, Path(work))
    found = examined(at, stored, row.team_id)
    with at.db.session() as session:
        at.blobs.record(session, stored)
        datasets.replace(
            session, caller, row.id, sha256=stored.sha256, size=stored.size, count=found.count,
            report=found.as_report(),
        )  # fmt: skip


def _cleared(at: Hub, row: Dataset, unwanted: Collection[str], work: Path) -> Stored:
    """The set's zip without these files, in the store."""
    at.blobs.fetch(row.sha256, work / SET_ZIP)
    unpack(work / SET_ZIP, work / "set", at.settings.datasets_max_mb)
    kept = [path for path in sorted((work / "set").rglob("*")) if path.is_file()]
    kept = [path for path in kept if path.relative_to(work / "set").as_posix() not in unwanted]
    if not kept:
        raise Conflict(f"Nothing would be left of {row.name}.", subject=row.id, remedy="Delete the set.")
    with zipfile.ZipFile(work / "cleared.zip", "w") as archive:
        for path in kept:
            archive.write(path, path.relative_to(work / "set").as_posix())
    return at.blobs.put_file(work / "cleared.zip", move=True)
