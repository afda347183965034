"""Does what takes minutes: a process of its own does it, and tells in a folder how far it is, whoever looks.

It goes on when the server ends. It holds the folder's lock for as long as it lives, so nothing is begun twice, and a
process that was killed is not taken for one that works.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from oakmill.errors import Conflict, OakmillError
from oakmill.files import atomic_write
from oakmill.hub.state import Hub
from oakmill.jobs.executors.local import environment_of
from oakmill.settings import Settings, current

Work = Literal["set", "toolchain", "verification", "import"]

PROGRAM = "oakmill.hub.background"
"""What installs and verifies; others call `carry_out` for themselves."""
_STATE, _LOG, _LOCK = "state.json", "log.txt", "lock"
_TOLD_SECONDS = 0.25
_TAIL_BYTES = 16 << 10


@dataclass
class Standing:
    """How far a work is; `seen` is what a verification found."""

    began: float
    what: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    ended: float | None = None
    error: str = ""
    remedy: str = ""
    seen: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def is_running(self) -> bool:
        """Whether there is more to come."""
        return self.ended is None

    @property
    def seconds(self) -> int:
        """How long it has taken."""
        return round((self.ended or time.time()) - self.began)

    @property
    def percent(self) -> float | None:
        """Of what is counted."""
        return 100 * self.done / self.total if self.total else None


def begin(
    at: Hub, work: Work, name: str, settings: Settings | None = None, *, told: str = "", program: str = PROGRAM
) -> None:
    """Start it, with other settings than the hub's where these are given.

    `told` is a line that it reads from its input, and that is kept nowhere; `program` the module that does it.

    Raises:
        Conflict: it is under way.
    """
    folder = _folder(at, work, name)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder) as handle:
        if handle is None:
            raise Conflict(f"{name} is being worked on already.", subject=name, remedy="Wait until it has ended.")
        (folder / _LOG).write_text("")
        _write(folder, Standing(time.time(), "starting"))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", program, work, name, str(folder), str(handle)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            pass_fds=(handle,),
            start_new_session=True,
            env={**os.environ, **environment_of(settings or at.settings)},  # noqa: TID251 - our own settings, handed on
        )
    threading.Thread(target=process.communicate, args=(f"{told}\n".encode(),), daemon=True).start()


def standing(at: Hub, work: Work, name: str) -> Standing | None:
    """How far it is, or how it ended; nothing where it never began."""
    folder = _folder(at, work, name)
    try:
        found = Standing(**json.loads((folder / _STATE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    found.lines = _tail(folder / _LOG)
    with _locked(folder) as handle:
        if handle is not None and found.is_running:
            found.ended, found.error = time.time(), "Its process was ended before it was done."
            found.remedy = "Start it again: what is there stays."
    return found


def under_way(at: Hub, work: Work) -> int:
    """How many of this kind go on."""
    names = [folder.name for folder in _home(at).glob(f"{work}-*")]
    return sum(_is_held(_home(at) / name) for name in names)


def forget(at: Hub, work: Work, *, older_than: float) -> None:
    """Remove what is known of works that ended longer ago than so many seconds."""
    for folder in _home(at).glob(f"{work}-*"):
        with suppress(FileNotFoundError):
            if time.time() - (folder / _STATE).stat().st_mtime > older_than and not _is_held(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    with _locked(folder) as handle:
        return handle is None


def _home(at: Hub) -> Path:
    return at.settings.hub.absolute() / "installs"


def _folder(at: Hub, work: Work, name: str) -> Path:
    return _home(at) / f"{work}-{name.replace('/', '@')}"


@contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """The folder's lock, or None where somebody holds it; a process that inherits it goes on holding it."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held: int | None = handle
    except BlockingIOError:
        held = None
    try:
        yield held
    finally:
        os.close(handle)


def _tail(path: Path) -> list[str]:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-200:]


def _write(folder: Path, state: Standing) -> None:
    atomic_write(folder / _STATE, json.dumps(asdict(state)))


class Teller:
    """Writes down what a work tells, a few times a second at most."""

    def __init__(self, folder: Path) -> None:
        self.state = Standing(time.time())
        self._folder = folder
        self._log = (folder / _LOG).open("a", buffering=1, errors="replace")
        self._next = 0.0

    def hear(self, event: Any) -> None:
        """Of a set's `Progress` or a tool's `ToolEvent`."""
        line = getattr(event, "line", "").strip()
        if line or event.what != self.state.what:
            self._log.write(f"{line or event.what}\n")
        if event.what:  # a line of the log says nothing of how far it is
            self.state.what, self.state.unit = event.what[:300], event.unit
            self.state.done, self.state.total = event.done, event.total
        elif not self.state.total:
            self.state.what = line[:300]
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _TOLD_SECONDS
            _write(self._folder, self.state)

    def end(self, error: OakmillError | None = None) -> None:
        """The last word."""
        self.state.ended = time.time()
        if error is not None:
            self.state.error, self.state.remedy = error.message, error.remedy
        self._log.close()
        _write(self._folder, self.state)


def _do(work: Work, name: str, teller: Teller) -> None:
    if work == "set":
        from oakmill.calibration.datasets import install

        install(name, current(), teller.hear)
        return
    from oakmill.toolchains import catalog

    toolchain = catalog.find(name, current())
    if work == "toolchain":
        toolchain.install(teller.hear)
    else:
        teller.state.what = "compiling a tiny model"
        teller.state.seen = {key: str(value) for key, value in toolchain.verify().items()}


def carry_out(folder: Path, lock: int, do: Callable[[Teller], None]) -> None:
    """Do a work in the process that was started for it, and tell how it ended."""
    os.set_inheritable(lock, False)
    teller = Teller(folder)
    try:
        do(teller)
        teller.end()
    except OakmillError as error:
        teller.end(error)
    except Exception as error:
        teller.end(OakmillError(f"{type(error).__name__}: {error}"))
        raise
    finally:
        os.close(lock)  # who saw the end may begin again, while this process goes


if __name__ == "__main__":
    carry_out(Path(sys.argv[3]), int(sys.argv[4]), lambda teller: _do(sys.argv[1], sys.argv[2], teller))  # type: ignore[arg-type]
