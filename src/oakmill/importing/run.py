"""Imports a model: looks at what there is, fetches it, compares it with what was said of it, and tells where from."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from oakmill import files
from oakmill.errors import HashMismatch, OutputError, SourceError
from oakmill.importing.address import Address
from oakmill.importing.offer import Candidate, Offer, Offered, require_room
from oakmill.importing.places import Asking, Place, place_of
from oakmill.processes.events import ToolEvent
from oakmill.spec.imported import TITLES, Checked, Imported, ImportedFile

Accept = Callable[[Sequence[Path]], Sequence[str]]
"""Takes files that have come, the model first; the names of those that it still needs."""
_ROUNDS = 3


def run(address: Address, folder: Path, asking: Asking, accept: Accept) -> Imported:
    """Fetch what the address names into the new folder, and give it to `accept`, with the files that it asks for.

    Raises:
        ImportFailed, ImportNotAllowed: it is not there, or not to be had, or several are.
        UnsupportedModel: it is of no kind that Oakmill takes.
        HashMismatch: what came is not what the server said.
        TooLarge, LimitExceeded, OutputError: it is too large, too slow, or has no room.
        ToolchainMissing: the library that fetches it cannot be had.
        SourceError: the model needs files that are not there.
        OakmillError: what `accept` says.
    """
    place = place_of(address, asking)
    asking.watch(ToolEvent(what=f"asking {TITLES[place.kind]}", line=f"Looking at {address}"))
    with files.aside(folder, ".oakmill-import-") as site:
        offer = place.offer(site / "look")
        candidate = offer.only(str(address))
        got = list(_fetched(place, offer, candidate, asking, accept, site, folder))
    return Imported(
        kind=place.kind,
        address=candidate.address,
        name=offer.name,
        url=offer.url,
        revision=offer.revision,
        licence=offer.licence,
        fetched=datetime.now(UTC).replace(microsecond=0),
        files=tuple(got),
    )


def _fetched(
    place: Place, offer: Offer, candidate: Candidate, asking: Asking, accept: Accept, site: Path, folder: Path
) -> Iterator[ImportedFile]:
    """The files, round by round: what a model names of others is known when it is here."""
    wanted = list(candidate.files)
    first, so_far = wanted[0].name, list[Offered]()
    for number in range(_ROUNDS):
        so_far += wanted
        total = require_room(so_far, asking.settings.upload_max_mb)
        if total > shutil.disk_usage(site).free:
            raise OutputError(f"{first} is {total / 1e6:.0f} MB, which is more than is free in {folder}.")
        come = place.fetch(candidate, wanted, site / f"fetch-{number}")
        checked = [_checked(file, come.get(file.name)) for file in wanted]
        missing = accept([_placed(come[file.name], file.name, first, folder) for file in wanted])
        yield from checked
        if not missing:
            return
        wanted = _named(missing, first, offer.others)
        if not wanted or number == _ROUNDS - 1:
            words = ", ".join(missing)
            raise SourceError(f"{first} needs {words}, which is not beside it there.", subject=missing[0])


def _placed(come: Path, name: str, first: str, folder: Path) -> Path:
    """A file where it belongs: beside the model, or below it as the model names it."""
    above = PurePosixPath(first).parent
    path = PurePosixPath(name)
    target = folder / (path.relative_to(above) if path.is_relative_to(above) else path.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    return come.rename(target)


def _named(missing: Sequence[str], first: str, others: Sequence[Offered]) -> list[Offered]:
    """Of what a model needs, that which lies there."""
    above = PurePosixPath(first).parent
    names = {str(above / name) for name in missing}
    return [file for file in others if file.name in names]


def _checked(file: Offered, path: Path | None) -> ImportedFile:
    """The file's digest, compared with what was said of it.

    Raises:
        HashMismatch: it differs.
        OutputError: it is not there.
    """
    name = PurePosixPath(file.name).name
    if path is None or not path.is_file():
        raise OutputError(f"{name} did not come.", subject=name, remedy="Import it again.")
    size, sha256 = path.stat().st_size, files.file_sha256(path)
    if file.sha256 and file.sha256 != sha256:
        raise _differs(name, "sha256", sha256, file.sha256)
    if file.git and file.git != (git := _git_digest(path, size)):
        raise _differs(name, "git's digest", git, file.git)
    if file.size and file.size != size:
        raise _differs(name, "size", str(size), str(file.size))
    checked: Checked = "sha256" if sha256 in (file.sha256, file.likely) else "git" if file.git else "size"
    return ImportedFile(name=name, size=size, sha256=sha256, checked=checked)


def _differs(name: str, what: str, came: str, said: str) -> HashMismatch:
    return HashMismatch(
        f"{name} is not what the server says it is: its {what} is {came}, and should be {said}.",
        subject=name,
        remedy="Nothing of it is kept. Import it again; if it stays so, tell its owners.",
    )


def _git_digest(path: Path, size: int) -> str:
    """The name that git gives to a file's bytes."""
    found = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.hexdigest()
