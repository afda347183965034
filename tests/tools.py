"""Installs real toolchains for tests into the user's own folder, where they are not yet."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from oakmill.settings import Settings
from oakmill.toolchains.base import State, Toolchain
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain
from oakmill.toolchains.rvc4.toolchain import Rvc4Toolchain

T = TypeVar("T", bound=Toolchain)
CACHE = Path.home() / ".cache" / "oakmill-tests"


def installed(toolchain: T) -> T:
    """The toolchain, installed.

    Raises:
        ToolchainMissing, ToolchainBroken: as its `install`.
    """
    with turn("toolchains"):
        if toolchain.status().state is not State.INSTALLED:
            toolchain.install()
    return toolchain


def link_toolchains(home: Path) -> None:
    """Give a home of its own the toolchains of the user's, with those for RVC2 and RVC4 installed."""
    mine = Settings()
    installed(Rvc2Toolchain(mine))
    installed(Rvc4Toolchain(mine))
    (home / "toolchains").symlink_to(mine.toolchains, target_is_directory=True)


@contextmanager
def turn(name: str) -> Iterator[None]:
    """One process at a time: pytest may run several, and each begins with what the others need too."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
