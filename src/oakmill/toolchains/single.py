"""What our toolchains share: how they stand and come here; and those that are one environment of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from oakmill.processes.events import Watcher, ignore
from oakmill.settings import Settings
from oakmill.toolchains import environments
from oakmill.toolchains.base import Status


class Verified(ABC):
    """A toolchain that is installed once it did its own work; each says what its environment is made of."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its full name."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What it is."""

    def status(self) -> Status:
        """How it stands here; starts no process."""
        return environments.status(self.name, self.summary, self.require)

    @abstractmethod
    def require(self) -> environments.Environment:
        """The environment, once it is certain that it is whole.

        Raises:
            ToolchainMissing: it is not installed.
            ToolchainBroken: it is not whole.
        """

    def install(self, watch: Watcher = ignore) -> Status:
        """Make the environment and verify it by work on a tiny model.

        Raises:
            ToolchainMissing: a package or interpreter cannot be had here, or the system lacks what it needs.
            ToolchainBroken: it was installed but does not do its work.
        """
        self._make(watch)
        self.verify()
        return self.status()

    @abstractmethod
    def verify(self) -> Mapping[str, Any]:
        """Work on a tiny model, and tell what was seen.

        Raises:
            ToolchainMissing: it is not installed.
            ToolchainBroken: it does not do what it should.
        """

    @abstractmethod
    def _make(self, watch: Watcher) -> None:
        """Make the environment.

        Raises:
            ToolchainMissing: a package or interpreter cannot be had here, or the system lacks what it needs.
        """


class SingleEnvironment(Verified):
    """A toolchain whose environment has its name, and nothing else in it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def require(self) -> environments.Environment:
        """The environment, once it is certain that it is whole.

        Raises:
            ToolchainMissing: it is not installed.
            ToolchainBroken: it is not whole.
        """
        return environments.require(self.name, self._settings, self._remedy)

    @property
    def _remedy(self) -> str:
        return f"oakmill toolchains install {self.name}"
