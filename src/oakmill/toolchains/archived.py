"""A toolchain out of one archive of its vendor's: fetched at the user's word, checked, unpacked, and found again."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from oakmill import files
from oakmill.errors import ToolchainBroken, ToolchainMissing
from oakmill.processes.events import ToolEvent, Watcher
from oakmill.settings import Settings
from oakmill.toolchains import environments, making, trusted
from oakmill.toolchains.base import Managed
from oakmill.toolchains.downloading import Download, told
from oakmill.toolchains.environments import RECORD, Environment
from oakmill.toolchains.unpacking import ArchiveRefused

MANIFEST = "files.json"


@dataclass(frozen=True)
class Unpacked:
    """What an archive became, in the new folder of an environment: the folder of its files, which stay as they are.

    `python` is the version of the environment's Python and `interpreter` where it is, both "" where there is none;
    `lock` is the digest of what that was made from.
    """

    root: Path
    python: str = ""
    interpreter: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    lock: str = ""


class Archived(Managed):
    """A toolchain out of one archive; a subclass says which, and how it is unpacked."""

    archive_magic: bytes
    """The bytes that the archive begins with."""

    @property
    @abstractmethod
    def source(self) -> str:
        """The archive's address, "" where nobody has named one."""

    @property
    def told_source(self) -> str:
        """The address as it may be shown and kept."""
        return told(self.source)

    @property
    @abstractmethod
    def by_hand(self) -> str:
        """What to do where that address is no good."""

    @abstractmethod
    def unpacked(self, archive: Path, made: Path, watch: Watcher) -> Unpacked:
        """Unpack the archive into the new folder `made` of the environment, and see that it is the right one.

        Raises:
            ArchiveRefused: it is not.
            ToolchainMissing: something else that the environment needs cannot be had.
        """

    def make(self, watch: Watcher) -> Environment:
        """Fetch the archive, or go on with that; check it against its first use; unpack it.

        Raises:
            LicenceNotAccepted: its licence is to be accepted first.
            ToolchainMissing: it cannot be had here, is not what it should be, or has changed since its first use.
        """
        making.require_platform(self.name)
        self.require_leave()
        if self.licence:
            watch(ToolEvent(line=self.licence))
        with environments.alone(self.name, self._settings, watch) as waited:
            there = making.usable(self.name, self._settings) if waited else None
            return there or _Installation(self, self._settings, watch).run()

    def require_unchanged(self) -> int:
        """That each file is as it was unpacked; returns how many there are.

        Raises:
            ToolchainBroken: one is not.
        """
        folder = environments.require(self.name, self._settings, self.remedy).folder
        try:
            listed: dict[str, str] = json.loads((folder / MANIFEST).read_text())
            wrong = next((name for name, sum_ in listed.items() if files.file_sha256(folder / name) != sum_), "")
        except (OSError, ValueError, AttributeError) as error:
            raise self._changed(f"a file cannot be read: {error}") from error
        if wrong:
            raise self._changed(f"{wrong} is not what was unpacked")
        return len(listed)

    def _changed(self, what: str) -> ToolchainBroken:
        message = f"{self.name} has changed since it was installed: {what}."
        return ToolchainBroken(message, subject=self.name, remedy=f"{self.remedy} makes it anew")


class _Installation:
    """One installation, of a process that holds the right to it."""

    def __init__(self, tool: Archived, settings: Settings, watch: Watcher) -> None:
        self.tool, self.settings, self.watch = tool, settings, watch

    def run(self) -> Environment:
        name = self.tool.name
        trusted.known(name, self.settings)  # before a long download: whether it can be read
        archive = self._fetched()
        self._say("checking its sha256")
        found = trusted.used_now(files.file_sha256(archive), archive.stat().st_size, self.tool.told_source)
        try:
            was_known = trusted.check(name, found, self.settings)
            self._install(archive, found)
        except (trusted.ArchiveChanged, ArchiveRefused):
            self._download.forget()
            raise
        self._tell_trust(found, known=was_known)
        self._download.forget()
        return environments.require(name, self.settings, self.tool.remedy)

    def _say(self, what: str) -> None:
        self.watch(ToolEvent(what=what))

    @cached_property
    def _download(self) -> Download:
        part = environments.part_of(self.tool.name, self.settings)
        tool = self.tool
        return Download(tool.source, part, tool.archive_magic, tool.by_hand, self.watch, self.settings.archive_hosts)

    def _fetched(self) -> Path:
        """The archive on this machine: the user's own file where the source is one."""
        address = urlsplit(self.tool.source)
        if address.scheme != "file":
            self._download.fetch()
            return self._download.part
        path = Path(unquote(address.path))
        if address.netloc not in ("", "localhost") or not path.is_file():
            raise ToolchainMissing(
                f"There is no file {self.tool.source}.", subject=self.tool.source, remedy=self.tool.by_hand
            )
        return path

    def _install(self, archive: Path, found: trusted.Known) -> None:
        """Unpack it beside its place, and move it in once it is known to be what it should be."""
        name = self.tool.name
        with environments.site_of(name, self.settings) as site:
            made = site / "environment"
            made.mkdir()
            self._say("unpacking")
            became = self.tool.unpacked(archive, made, self.watch)
            self._say("recording")
            (made / MANIFEST).write_text(json.dumps(_sums(made, became.root), indent=0))
            (made / RECORD).write_text(json.dumps(self._record(made, found, became), indent=1))
            if trusted.known(name, self.settings) is None:
                trusted.remember(name, found, self.settings)
            files.move_in(made, environments.folder_of(name, self.settings), site)

    def _record(self, made: Path, found: trusted.Known, became: Unpacked) -> dict[str, Any]:
        manifest = (made / MANIFEST).read_bytes()
        return {
            "format": 1,
            "name": self.tool.name,
            "digest": hashlib.sha256(found.sha256.encode() + became.lock.encode() + manifest).hexdigest(),
            "lock": found.sha256,
            "python": became.python,
            "interpreter": became.interpreter,
            "libraries": False,
            "versions": dict(became.versions),
            "archive": asdict(found),
        }

    def _tell_trust(self, found: trusted.Known, *, known: bool) -> None:
        words = (
            "as at its first use"
            if known
            else "written down: no sum is published to compare it with, so this first archive is trusted, and any "
            "other of its name will be refused"
        )
        self.watch(ToolEvent(line=f"sha256 {found.sha256}, {found.bytes} bytes: {words}"))


def _sums(made: Path, root: Path) -> dict[str, str]:
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(made).as_posix(): files.file_sha256(path) for path in paths}
