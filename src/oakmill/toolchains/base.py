"""The seam to vendors' tools: what a toolchain is, and what a run of it asks and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from oakmill.processes.events import Watcher, ignore


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
