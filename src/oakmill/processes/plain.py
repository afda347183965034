"""What a tool leaves in its folder is files and folders, and nothing that leads out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from oakmill.errors import ToolKilled

SCRATCH = "tmp"
"""The sub-folder in which a tool may leave what it likes: nothing is taken out of it."""


def require(folder: Path, name: str, *, log: str = "") -> None:
    """Refuse what a tool left, before any of it is opened, if a name in it may stand for something else.

    Opened, a link would be what it leads to, any file of whoever runs the tool; a pipe would be waited for.

    Raises:
        ToolKilled: a name, outside the folder `tmp`, is a link, a second name of a file, or no file at all.
    """
    for path in _others(folder):
        raise ToolKilled(
            f"{name} left {path.relative_to(folder)}, which is no plain file of its own; nothing of this run is used.",
            remedy="No tool that Oakmill installs does so: look at the model, and at who made it.",
            log=log,
        )


def _others(folder: Path) -> Iterator[Path]:
    for below, folders, names in os.walk(folder):
        if below == str(folder) and SCRATCH in folders:
            folders.remove(SCRATCH)
        yield from (path for name in folders if not stat.S_ISDIR(os.lstat(path := Path(below, name)).st_mode))
        for name in names:
            status = os.lstat(path := Path(below, name))
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                yield path
