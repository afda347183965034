"""A tool's output while it runs: cut into lines, kept in a file of bounded size, its end at hand."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from oakmill.errors import OutputError
from oakmill.processes.events import ToolEvent, Watcher

_TAIL_BYTES = 1 << 16
_LONGEST_LINE = 1 << 13


class Lines:
    """Cuts a stream into lines, ended by \\n or \\r, and bounds their length; b"" ends the stream."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Take the next piece, and hand on the lines that it completes."""
        *lines, self._rest = re.split(rb"[\r\n]+", self._rest + piece)
        if not piece or len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            if line.strip():
                self._take(line.decode(errors="replace"))


class Log:
    """A tool's output: a file of bounded size, its end in memory, and each line to the watcher."""

    def __init__(self, path: Path, limit: int, watch: Watcher) -> None:
        self._path, self._left = path, limit
        self._tail = b""
        self._lines = Lines(lambda line: watch(ToolEvent(line=line)))

    def __enter__(self) -> Log:
        try:
            self._file = new_file(self._path)
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def feed(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            OutputError: the file cannot be written.
        """
        self._tail = (self._tail + piece)[-_TAIL_BYTES:]
        if self._left > 0:
            self._write(piece[: self._left])
            self._left -= len(piece)
            if self._left <= 0:
                self._write(b"\n... the rest is not kept\n")
        self._lines.feed(piece)

    def _write(self, piece: bytes) -> None:
        try:
            while piece:
                piece = piece[os.write(self._file, piece) :]
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"The tool's log cannot be written: {error.strerror}.",
            subject=str(self._path),
            remedy="Free some space there, or see to its permissions.",
        )

    def tail(self) -> str:
        """The end of the output."""
        return self._tail.decode(errors="replace")


def new_file(path: Path) -> int:
    """A descriptor of a new file in the place of what was there; no link that a tool left is followed."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
