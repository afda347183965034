"""Puts this very process behind the wall, before it opens what nobody vouches for; all that it starts is behind it too.

Landlock's rules hold for the thread that makes them and for what that one starts, so it must be the only thread yet.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from oakmill.processes import landlock, sandbox
from oakmill.processes.calls import filter_program
from oakmill.processes.sandbox import Isolation, IsolationMissing, Level
from oakmill.settings import Settings

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Variables that keep a process which loads our libraries to one thread until it works."""

_SYSTEM_FILES = ("/etc/passwd", "/etc/localtime", "/etc/nsswitch.conf")
_log = logging.getLogger(__name__)


def enclose(read: Sequence[Path], write: Sequence[Path], settings: Settings) -> bool:
    """Take from this process, for good, all files but the system's, our code and those, sockets, and other processes.

    Paths that do not exist are left out. Returns whether there is such a wall here; where there is none and the
    settings do not require one, nothing happens.

    Raises:
        IsolationMissing: the settings require a wall, and none holds for a process of ours.
    """
    if settings.isolation == "off":
        return False
    if why_not := _why_not():
        if settings.isolation == "required":
            raise IsolationMissing(f"OAKMILL_ISOLATION=required, but what reads models has no wall: {why_not}")
        _log.warning("what reads models has no wall of its own: %s", why_not)
        return False
    named = [*sandbox.own_code(), *map(Path, _SYSTEM_FILES), *read]
    readable, writable = sandbox.left_open(_existing(named), _existing(write))
    landlock.restrict([str(path) for path in readable], [str(path) for path in writable])
    landlock.drop_capabilities()
    landlock.give_up_capabilities()
    if program := filter_program():
        landlock.filter_calls(program)
    sandbox.go_inside(here())
    return True


@lru_cache(maxsize=1)
def here() -> Isolation:
    """Landlock, seen to work, or why it does not; asked once per process, by itself before there is a hurry."""
    return sandbox.probe_landlock()


def _why_not() -> str:
    wall = here()
    if wall.level is not Level.LANDLOCK:
        return wall.detail
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names are enough
    return f"it has {threads} threads already" if threads > 1 else ""


def _existing(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if path.exists()]
