"""The seam to vendors' tools: what a toolchain is, and all that those which Oakmill installs have in common."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oakmill.errors import LicenceNotAccepted, ToolchainBroken, ToolchainMissing
from oakmill.processes.events import ToolEvent, Watcher, ignore
from oakmill.settings import Settings
from oakmill.toolchains import door, environments, interpreters, making
from oakmill.toolchains.environments import Environment
from oakmill.toolchains.making import Contents


class State(StrEnum):
    """How a toolchain stands on this machine."""

    INSTALLED = "installed"
    MISSING = "missing"
    BROKEN = "broken"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Status:
    """A toolchain on this machine: its state, where it lies, what it is made of, what to do if it is not there."""

    name: str
    state: State
    summary: str
    folder: Path | None = None
    digest: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    detail: str = ""
    licence: str = ""
    unaccepted: str = ""
    """The licence that is still to be accepted by its name; `licence` says what it asks."""
    asked_as: str = ""
    """How a request names its version, where that is not the end of its name."""
    needs_source: bool = False
    """Whether the archive that it is made out of is still to be named."""


_TOLD = ("licence", "unaccepted", "asked_as", "needs_source")
"""What a status tells of a toolchain as it is, installed or not."""


class Toolchain(Protocol):
    """Vendor tools at one version, in an environment of their own."""

    @property
    def name(self) -> str:
        """Its full name: `rvc2/openvino-2022.2.0`."""

    @property
    def summary(self) -> str:
        """One sentence on what it is."""

    def status(self) -> Status:
        """How it stands here; quick, starts no process."""

    def install(self, watch: Watcher = ignore) -> Status:
        """Make its environment, verify it by real work, and record its digest.

        Raises:
            ToolchainMissing: an interpreter or package it needs cannot be had here.
            ToolchainBroken: it was installed but its verification failed.
        """

    def verify(self) -> Mapping[str, Any]:
        """Compile a tiny model for real and return what was seen.

        Raises:
            ToolchainMissing: it is not installed.
            ToolchainBroken: it does not work.
        """


class Managed(ABC):
    """A toolchain that Oakmill installs into an environment, and asks through the door.

    A subclass states what it is; an instance may state its own. What of it is work is `prove`, and its own methods.
    """

    name: str
    what: str
    """What it is, in words."""
    package: Path
    """The folder of its runner."""
    contents: Contents
    pythons: Sequence[str] = ()
    """Those that it runs on, the best first; without any, on the one that runs Oakmill."""
    licence: str = ""
    """What is accepted by installing it."""
    accept: str = ""
    """The licence that has to be accepted by its name before it is installed; most need no such word."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def summary(self) -> str:
        """What it is, and what it runs on."""
        return f"{self.what}; runs on Python {' or '.join(self.pythons)}" if self.pythons else self.what

    @property
    def environment(self) -> str:
        """The name of its environment."""
        return self.name

    @property
    def remedy(self) -> str:
        """How it is installed."""
        needs = f" (it needs Python {' or '.join(self.pythons)})" if self.pythons else ""
        word = f" --accept-licence {self.accept}" if self.accept else ""
        return f"oakmill toolchains install {self.environment}{word}{needs}"

    @property
    def unaccepted(self) -> str:
        """The licence that nobody has accepted yet; nothing where none has to be."""
        accepted = {name.lower() for name in self._settings.accepted_licences}
        return "" if self.accept.lower() in accepted else self.accept

    @property
    def asked_as(self) -> str:
        """How a request names its version, where that is not the end of its name."""
        return ""

    @property
    def needs_source(self) -> bool:
        """Whether the archive that it is made out of is still to be named."""
        return False

    def status(self) -> Status:
        """How it stands here; starts no process."""
        try:
            found = self.require()
        except ToolchainBroken as error:
            return self._status(State.BROKEN, detail=error.message)
        except ToolchainMissing as error:
            return self._status(State.MISSING, detail=error.remedy)
        return self._status(State.INSTALLED, folder=found.folder, digest=found.digest, versions=found.versions)

    def _status(self, state: State, **more: Any) -> Status:
        known: dict[str, Any] = {name: getattr(self, name) for name in _TOLD}
        return Status(self.name, state, self.summary, **known, **more)

    def require(self) -> Environment:
        """The environment, once it is certain that it is whole.

        Raises:
            ToolchainMissing: it is not installed, or this system lacks what it needs.
            ToolchainBroken: it is not whole.
            VersionNotAvailable: no library here is of that version.
        """
        found = environments.require(self.environment, self._settings, self.remedy)
        self.check_system()
        self.check(found)
        return found

    def check_system(self) -> None:  # noqa: B027 - most need nothing
        """That this machine has what the tools need.

        Raises:
            ToolchainMissing: it has not.
        """

    def check(self, environment: Environment) -> None:  # noqa: B027 - most need nothing
        """That the environment has all that is used of it.

        Raises:
            ToolchainBroken, VersionNotAvailable: it has not.
        """

    def install(self, watch: Watcher = ignore) -> Status:
        """Make the environment and verify it by work on a tiny model.

        Raises:
            ToolchainMissing: a package or interpreter cannot be had here, or the system lacks what it needs.
            ToolchainBroken: it was installed but does not do its work.
        """
        self.make(watch)
        watch(ToolEvent(what=f"verifying {self.name}"))
        self.verify()
        return self.status()

    def make(self, watch: Watcher) -> Environment:
        """Make the environment.

        Raises:
            LicenceNotAccepted: it has one that is to be accepted first.
            ToolchainMissing: a package or interpreter cannot be had here, or the system lacks what it needs.
        """
        self.check_system()
        self.require_leave()
        if self.licence:
            watch(ToolEvent(line=self.licence))
        settings = self._settings
        python = interpreters.find_first(self.pythons, settings, watch) if self.pythons else Path(sys.executable)
        return making.create(self.environment, self.contents, python, settings, watch)

    def require_leave(self) -> None:
        """That all was said that has to be before it is installed: its licence accepted by its name.

        Raises:
            LicenceNotAccepted: it was not.
            ToolchainMissing: the archive that it is made out of was not named.
        """
        if self.unaccepted:
            raise LicenceNotAccepted(
                f"{self.name} is installed once you accept the {self.accept}. {self.licence}.",
                subject=self.name,
                remedy=self.remedy,
            )

    def verify(self) -> Mapping[str, Any]:
        """Do its work on a tiny model, and tell what was seen.

        Raises:
            ToolchainMissing: it is not installed.
            ToolchainBroken: it does not do what it should.
        """
        with (
            environments.verification(self.name, f"{self.remedy} makes it anew"),
            TemporaryDirectory(prefix="oakmill-") as folder,
        ):
            return self.prove(Path(folder))

    @abstractmethod
    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Its work on a tiny model in a folder, and what was seen.

        Raises:
            OakmillError: it does not do what it should.
        """

    def ask(
        self,
        action: str,
        request: Mapping[str, Any],
        job: Path,
        *,
        read: Sequence[Path] = (),
        variables: Mapping[str, str] | None = None,
        package: Path | None = None,
        watch: Watcher = ignore,
    ) -> dict[str, Any]:
        """What a runner answers to a request of this action, in the folder `job`, which is made; raises as the door.

        `package` is the folder of another runner than the toolchain's own.
        """
        job.mkdir(parents=True, exist_ok=True)
        request = {"action": action, **request}
        more: dict[str, Any] = {"read": read, "variables": variables, "watch": watch, "settings": self._settings}
        return door.run_runner(self.require(), package or self.package, request, job, **more)


def expect(found: NDArray[Any], wanted: NDArray[Any], tolerance: float = 0.0) -> None:
    """That a tiny model's output is what it has to be, in shape and in each value.

    Raises:
        ToolchainBroken: it is not.
    """
    if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=0, atol=tolerance):
        raise ToolchainBroken(f"it computes {found} instead of {wanted}")
