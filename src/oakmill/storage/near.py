"""Files of a bucket that this machine has fetched lately: jobs of one source, or of one set of images, fetch it once.

They are only a copy: each is checked whenever it is used, and the oldest go when there are too many.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from oakmill.files import file_sha256, locked, private_folder

_LOCK = ".lock-"


class Near:
    """A folder of such files, of so many bytes at most, by their sha256; several processes may use it."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most

    def give(self, sha256: str, target: Path, get: Callable[[Path], None]) -> None:
        """Make `target` that file, to be read only: by what is here, or by `get` while others who want it wait.

        Raises: as `get`; OSError: it cannot be copied.
        """
        path = private_folder(self._folder) / sha256
        with locked(self._folder / f"{_LOCK}{sha256[:2]}", lambda: None):
            if not path.exists() or file_sha256(path) != sha256:
                path.unlink(missing_ok=True)
                get(path)
                path.chmod(0o444)
            os.utime(path)
            _link(path, target)
            self._make_room()

    def _make_room(self) -> None:
        """Remove the files that were not used for longest; what is removed stays with those who were given it."""
        found = []
        for path in self._folder.iterdir():
            with suppress(OSError):  # another process has just removed it
                if not path.name.startswith(".") and path.is_file():
                    found.append((path.stat().st_mtime, path.stat().st_size, path))
        total = 0
        for _, size, path in sorted(found, reverse=True):
            total += size
            if total > self._most:
                path.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
