"""Answers about files that nobody vouches for, worked out in a process apart: behind a wall, and within limits."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import oakmill
from oakmill import errors
from oakmill.errors import OakmillError, SourceError, ToolFailed, Unavailable
from oakmill.hub.state import Hub
from oakmill.processes import run, sandbox
from oakmill.processes.run import Limits

Kind = Literal["pictures", "anatomy", "colours"]
"""The modules of this package, each with a function `answer(inside, outside, request)`."""

SECONDS = 600
"""A set of a thousand large pictures takes a minute or two, and more on a machine that has other things to do."""
OUTPUT_MB = 512
AT_ONCE, WAIT_SECONDS = 2, 60
"""Looks at the same time, and for how long another one waits: whoever asks for many must not take the server's all."""
ANSWER = "answer.json"
_places = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class Bench:
    """A folder for one question: what is looked at lies `inside`, which the process apart cannot change."""

    at: Hub
    inside: Path
    outside: Path

    def lay(self, name: str, sha256: str) -> None:
        """Lay a file of the store there."""
        self.at.blobs.fetch(sha256, self.inside / Path(name).name)

    def ask(self, kind: Kind, request: Mapping[str, Any], *, read: Sequence[Path] = ()) -> dict[str, Any]:
        """What the process apart says; it may also read the folders of `read`.

        Raises:
            OakmillError: what it met, under its own name.
            LimitExceeded: it needed more time or memory than a look may.
            Unavailable: others are being looked at.
        """
        with _place():
            done = run.run(
                self._command(kind, request, read),
                cwd=self.outside,
                limits=self._limits(),
                name="The look at the file",
            )
        return _answer(self.outside / ANSWER, done.log_tail, self.inside)

    def _limits(self) -> Limits:
        return Limits(SECONDS, self.at.settings.tool_memory_mb, OUTPUT_MB)

    def _command(self, kind: Kind, request: Mapping[str, Any], read: Sequence[Path]) -> list[str]:
        question = self.inside / "request.json"
        question.write_text(json.dumps(request))
        python = Path(sys.executable)
        ours = [Path(sys.prefix), Path(oakmill.__file__).parents[1], *sandbox.interpreter_folders(python)]
        scratch = self.outside / "tmp"
        scratch.mkdir()
        return sandbox.command(
            [sys.executable, "-P", "-m", "oakmill.web.apart", kind, str(self.inside), str(self.outside)],
            read=[self.inside, *ours, *read],
            write=[self.outside],
            env={"HOME": str(scratch), "TMPDIR": str(scratch), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
            limits=self._limits(),
            isolation=sandbox.choose(self.at.settings),
        )


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=WAIT_SECONDS):
        raise Unavailable("Other files are being looked at.", remedy="Reload the page in a minute.")
    try:
        yield
    finally:
        _places.release()


@contextmanager
def bench(at: Hub) -> Iterator[Bench]:
    """A folder for one question, gone with the block."""
    folder = at.settings.hub.absolute() / "work" / f"look-{secrets.token_hex(8)}"
    found = Bench(at, folder / "in", folder / "out")
    found.inside.mkdir(parents=True)
    found.outside.mkdir()
    try:
        yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answer(path: Path, log: str, inside: Path) -> dict[str, Any]:
    try:
        # No link is followed: whatever ran there may have left one that leads elsewhere.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
            found: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        raise ToolFailed("Looking at the file ended the process that did it.", log=log) from None
    if "error" in found:
        raise _as_error(found["error"], inside)
    return found


def _as_error(told: Mapping[str, Any], inside: Path) -> OakmillError:
    """The error that the process met, without the folders that it met it in."""
    kind = getattr(errors, str(told["code"]), SourceError)
    message = str(told["message"]).replace(f"{inside}/", "")
    error: OakmillError = kind(message, remedy=str(told["remedy"]), subject=Path(str(told["subject"])).name)
    return error
