"""Installs the toolchains that a conversion needs and that are not here yet, where the operator allows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from oakmill.errors import ToolchainMissing
from oakmill.files import expanded
from oakmill.processes.events import Watcher
from oakmill.settings import Settings
from oakmill.toolchains.base import State, Toolchain


def install_missing(
    needed: Sequence[Toolchain], settings: Settings, tell: Callable[[str], None], watch: Watcher
) -> None:
    """Install those that are missing, each told by `tell` before; none where the settings do not allow it.

    One whose licence is to be accepted by its name, and is not, or whose archive is to be named, is left out: its
    conversion says so.

    Raises:
        ToolchainMissing: an interpreter or package that one needs cannot be had here.
        ToolchainBroken: one was installed but its verification failed.
    """
    for toolchain in missing(needed, settings):
        tell(f"installing {toolchain.name}: {toolchain.summary}")
        toolchain.install(watch)


def missing(needed: Sequence[Toolchain], settings: Settings) -> list[Toolchain]:
    """Those that are not here and may be installed."""
    if not settings.install_toolchains:
        return []
    found = [(toolchain, toolchain.status()) for toolchain in needed]
    ready = [(item, status) for item, status in found if not (status.unaccepted or status.needs_source)]
    return [item for item, status in ready if status.state is State.MISSING]


def accepting(settings: Settings, *licences: str) -> Settings:
    """The settings of somebody who accepts these licences too, by their names."""
    accepted = dict.fromkeys((*settings.accepted_licences, *licences))
    return settings.model_copy(update={"accepted_licences": tuple(accepted)})


def taking_from(settings: Settings, archive: str) -> Settings:
    """The settings of somebody who names the archive that a toolchain is made out of: a file, or an address.

    Raises:
        ToolchainMissing: it is neither.
    """
    if not re.match(r"https?://|file://", archive):
        path = expanded(archive).absolute()
        if not path.is_file():
            raise ToolchainMissing(
                f"There is no file {archive}.", subject=archive, remedy="Name a file that is here, or an address."
            )
        archive = path.as_uri()
    return settings.model_copy(update={"openvino_source": archive, "qairt_source": archive})
