"""Asks about files that nobody vouches for: a worker behind the wall is given them, and its answer is checked.

A worker sees our code, Python, the system's libraries and its own folder, of which it can write a part; it has no
network, no variable of ours, and limits of time, memory and output. It answers one question and ends, so that no file
can reach another one.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from oakmill import errors
from oakmill.errors import LimitExceeded, OakmillError, SourceError, Unavailable
from oakmill.files import hold
from oakmill.processes import run, sandbox
from oakmill.processes.enclosure import ONE_THREAD
from oakmill.processes.forks import Zygotes
from oakmill.processes.running import Running
from oakmill.processes.sandbox import Isolation, Level, Limits
from oakmill.settings import Settings
from oakmill.untrusted.fair_semaphore import FairSemaphore
from oakmill.untrusted.folder import Folder, inside
from oakmill.untrusted.questions import A, Question

Lay = Callable[[Path], None]
"""Makes a file at a path: fetches it from the store, or links it."""

SHORT_AT_ONCE, LONG_AT_ONCE = 3, 2
"""Looks that take seconds, as those at uploads do, and others: whoever asks for these must not hold those up."""
LONG_SECONDS = 300
ZYGOTE = "oakmill.untrusted.zygote"
PROGRAM = ("-P", "-m", "oakmill.untrusted.worker")
_LARGEST_ANSWER = 96 << 20
_SHARED = ("source_max_mb", "datasets_max_mb")
"""The settings that a worker is told."""


class IsolatedWorkers:
    """Workers that look at files, a few at once, of which one waits before it is needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._short, self._long = FairSemaphore(SHORT_AT_ONCE), FairSemaphore(LONG_AT_ONCE)
        self._lock = threading.Lock()
        self._zygotes = Zygotes(ZYGOTE, {**_environment("/"), **ONE_THREAD})
        self._waiting: Future[_Worker] | None = None
        self._is_closed = False
        # The kernel ends a worker with the thread that started it, and threads of requests come and go.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="starts-workers")

    def warm(self) -> None:
        """Begin to start the worker that the next question needs."""
        with self._lock:
            if self._waiting is None and not self._is_closed:
                self._waiting = self._start()

    @contextmanager
    def asking(self, question: Question[A], files: Mapping[str, Lay], owner: str = "") -> Iterator[tuple[A, Path]]:
        """What a worker says of these files, by their names, for a team; and the folder of what it made.

        That folder is gone with the block. Of what is in it, take regular files only.

        Raises:
            OakmillError: what the worker met, under its own name.
            SourceError: the look ended the worker.
            LimitExceeded: it needed more time or memory than a look may.
            Unavailable: too many others are being looked at.
        """
        fair = self._long if question.seconds > LONG_SECONDS else self._short
        with fair.slot(owner):
            worker = self._taken()
            try:
                yield self._asked(worker, question, files), worker.folder.made
            finally:
                worker.end()
                self.warm()

    def _asked(self, worker: _Worker, question: Question[A], files: Mapping[str, Lay]) -> A:
        """The worker's answer; that the hub's end ends it too says nothing of the file."""
        try:
            return worker.ask(question, files)
        except SourceError:
            if self._is_closed:
                raise _closed() from None
            raise

    def ask(self, question: Question[A], files: Mapping[str, Lay], owner: str = "") -> A:
        """As `asking`, where nothing was made."""
        with self.asking(question, files, owner) as (answer, _):
            return answer

    def close(self) -> None:
        """End the worker that waits; no other is started."""
        with self._lock:
            self._is_closed = True
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            with suppress(OakmillError):
                waiting.result().end()
        self._starter.shutdown()
        self._zygotes.close()

    def _taken(self) -> _Worker:
        """A worker for one question, the one that waits if it does; the system may have ended it meanwhile."""
        with self._lock:
            if self._is_closed:
                raise _closed()
            taken, self._waiting = self._waiting or self._start(), None
        worker = taken.result()
        if not worker.has_ended:
            return worker
        worker.end()
        return self._start().result()

    def _start(self) -> Future[_Worker]:
        return self._starter.submit(_Worker, self._settings, self._zygotes)


class _Worker:
    """A process that waits for its one question, and the folder that it has."""

    def __init__(self, settings: Settings, zygotes: Zygotes) -> None:
        """Start it.

        Raises:
            IsolationMissing: the settings require a wall, and none works here.
        """
        self._settings, isolation = settings, sandbox.choose(settings)
        self.folder = Folder(settings.hub.absolute() / "work" / f"look-{secrets.token_hex(8)}")
        self.folder.make()
        self._lock = hold(self.folder.root)
        largest = max(settings.source_max_mb, settings.datasets_max_mb)
        self._limits = Limits(0, settings.tool_memory_mb, largest)
        self._running = self._start(isolation, zygotes)

    def _start(self, isolation: Isolation, zygotes: Zygotes) -> Running:
        """A zygote forks it, but bubblewrap becomes the program that it is put around."""
        command = self._command(isolation)
        if isolation.level is Level.BUBBLEWRAP:
            return Running.start(command, env={}, cwd=self.folder.root, takes_input=True)
        return zygotes.start(command, folder=self.folder.root)

    def _command(self, isolation: Isolation) -> list[str]:
        return sandbox.command(
            [sys.executable, *PROGRAM, str(self.folder.root)],
            read=[self.folder.given, *sandbox.own_code()],
            write=[self.folder.out],
            env=_environment(str(self.folder.scratch)),
            limits=self._limits,
            isolation=isolation,
        )

    @property
    def has_ended(self) -> bool:
        """Whether it has, though it waits for its question."""
        return self._running.has_ended

    def ask(self, question: Question[A], files: Mapping[str, Lay]) -> A:
        """Its answer; as `IsolatedWorkers.asking`."""
        for name, lay in files.items():
            target = inside(self.folder.files, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            lay(target)
        asked = {
            "kind": type(question).__name__,
            "question": question.model_dump(mode="json", exclude_unset=True),
            "settings": {name: getattr(self._settings, name) for name in _SHARED},
        }
        self.folder.question.write_text(json.dumps(asked))
        subject = next(iter(files), "")
        log = self._finished(question.seconds, subject)
        try:
            told = json.loads(_bytes_of(self.folder.answer))
            if "error" not in told:
                return question.answer_type().model_validate(told["answer"])
            error = self._as_error(told["error"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            message = f"Looking at {subject} ended the process that did it."
            raise SourceError(message, subject=subject, remedy="Is it damaged?", log=log) from None
        raise error

    def _finished(self, seconds: float, subject: str) -> str:
        """Let it do its work; the end of what it printed."""
        limits = Limits(seconds, self._limits.memory_mb, self._limits.output_mb)
        with suppress(BrokenPipeError):
            self._running.send(b"\n")
        try:
            return run.finish(self._running, cwd=self.folder.root, limits=limits, name="The look").log_tail
        except LimitExceeded as error:
            raise LimitExceeded(
                f"Looking at {subject} took more than {seconds:g} s or {limits.memory_mb} MB.",
                subject=subject,
                log=error.log,
            ) from None

    def _as_error(self, told: Mapping[str, Any]) -> OakmillError:
        """The error that it met, without the folders that it met it in."""
        kind = getattr(errors, str(told["code"]), None)
        if not (isinstance(kind, type) and issubclass(kind, OakmillError)):
            kind = SourceError
        words = {name: str(told[name]) for name in ("message", "remedy", "subject", "log")}
        for folder in (self.folder.files, self.folder.scratch, self.folder.root):
            words = {name: text.replace(f"{folder}/", "") for name, text in words.items()}
        return kind(words.pop("message"), **words)

    def end(self) -> None:
        """End it, and remove its folder."""
        self._running.stop(grace=0)
        shutil.rmtree(self.folder.root, ignore_errors=True)
        os.close(self._lock)


def _environment(scratch: str) -> dict[str, str]:
    """All variables of a worker."""
    return {"HOME": scratch, "TMPDIR": scratch, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def _closed() -> Unavailable:
    return Unavailable("The hub is about to end.", remedy="Ask again when it is back.")


def _bytes_of(path: Path) -> bytes:
    """A regular file that is not too large; no link is followed, for whatever ran there may have left any thing.

    Raises:
        OSError: it is none.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_ANSWER:
            raise OSError(f"{path.name} is no answer")
        return file.read()
