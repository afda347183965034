"""Starts processes by a zygote: what they need is loaded once, and each of them is there in hundredths of a second."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from oakmill.processes import sandbox
from oakmill.processes.parts_socket import HELPERS_FD
from oakmill.processes.running import Running, readable
from oakmill.processes.zygote import LONGEST

_READY_SECONDS = 300.0


class ZygoteGone(OSError):
    """The zygote has ended, and with it all that it forked; a new one can be started."""

    def __init__(self) -> None:
        super().__init__(errno.EPIPE, "the process that starts others has ended")


class Zygotes:
    """A zygote, by the name of its module, with these variables, and, should the system end it, the next one.

    It ends with the thread that first needs it, even by kill -9, and all that it forked with it.
    """

    def __init__(self, module: str, env: Mapping[str, str]) -> None:
        self._module, self._env = module, env
        self._zygote: _Zygote | None = None

    def warm(self) -> bool:
        """Begin to load what is to be loaded; whether that is done.

        Raises:
            OSError: there is no room for another process, or it ended before it was ready.
        """
        if self._zygote is None or self._zygote.is_gone:
            self.close()
            self._zygote = _Zygote(self._module, self._env)
        return self._zygote.is_ready()

    def start(self, command: Sequence[str], *, folder: Path) -> Running:
        """As `Running.start`, of a command of `sandbox` which runs this Python; it takes input.

        Raises:
            OSError: there is no room for another process, or nothing can be loaded.
        """
        for _ in range(2):
            try:
                self.warm()
                assert self._zygote is not None
                return self._zygote.start(command, folder)
            except (ZygoteGone, ProcessLookupError):
                self.close()
        raise ZygoteGone

    def close(self) -> None:
        """End it, and what it forked."""
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.end()


class _Zygote:
    """The zygote's process, and the socket by which it is asked."""

    def __init__(self, module: str, env: Mapping[str, str]) -> None:
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._door.settimeout(_READY_SECONDS)  # one that was stopped answers nobody
        self._lock = threading.Lock()
        self._was_ready = False
        try:
            with theirs:
                self._process = subprocess.Popen(
                    sandbox.leashed([sys.executable, "-P", "-m", module, str(theirs.fileno())]),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), *([int(env[HELPERS_FD])] if HELPERS_FD in env else [])),
                    start_new_session=True,
                    cwd="/",
                    env=env,
                )
        except OSError:
            self._door.close()
            raise

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, of itself or by `end`."""
        return self._process.poll() is not None

    def is_ready(self, seconds: float = 0) -> bool:
        """Whether it has loaded everything, within that time.

        Raises:
            ZygoteGone: it ended before.
        """
        with self._lock:
            if not self._was_ready and readable(self._door.fileno(), seconds):
                self._heard()
                self._was_ready = True
        return self._was_ready

    def start(self, command: Sequence[str], folder: Path) -> Running:
        """A process of it.

        Raises:
            ZygoteGone: it has ended.
            OSError: there is no room for another process.
        """
        if not self.is_ready(_READY_SECONDS):
            raise ZygoteGone
        with _pipe() as (stdin, our_in), _pipe() as (our_out, stdout), _pipe() as (our_events, events):
            asked = {"command": list(command[len(sandbox.LAUNCH) :]), "folder": str(folder)}
            answer = self._ask(asked, (stdin, stdout, events))
            if "errno" in answer:
                raise OSError(answer["errno"], os.strerror(answer["errno"]))
            forked = Forked(self, answer["pid"], os.dup(our_in), os.dup(our_out))
            return Running(forked, os.dup(our_events))

    def reaped(self, pid: int) -> int:
        """The exit code of a process of it that has ended; its number may be another's from now on."""
        try:
            return int(self._ask({"reap": pid})["status"])
        except OSError:
            return -signal.SIGKILL  # so it ends with the zygote

    def _ask(self, asked: Mapping[str, Any], handles: Sequence[int] = ()) -> dict[str, Any]:
        with self._lock:
            try:
                socket.send_fds(self._door, [json.dumps(asked).encode()], handles)
            except (BrokenPipeError, TimeoutError):
                raise ZygoteGone from None
            return self._heard()

    def _heard(self) -> dict[str, Any]:
        try:
            message = self._door.recv(LONGEST)
        except (ConnectionResetError, TimeoutError):
            message = b""
        if not message:
            raise ZygoteGone
        answer: dict[str, Any] = json.loads(message)
        return answer

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        with self._lock:
            self._door.close()


class Forked:
    """A process of a zygote, as `Running` needs one."""

    def __init__(self, zygote: _Zygote, pid: int, stdin: int, stdout: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin: IO[bytes] | None = open(stdin, "wb", 0)  # noqa: SIM115 - `Running` closes it
        self.stdout: IO[bytes] | None = open(stdout, "rb", 0)  # noqa: SIM115
        self._zygote = zygote

    def wait(self) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it went with its zygote
                ended = os.pidfd_open(self.pid)
                try:
                    readable(ended)
                finally:
                    os.close(ended)
            self.returncode = self._zygote.reaped(self.pid)
        return self.returncode


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe, for the time of the block."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)
