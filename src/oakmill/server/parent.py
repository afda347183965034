"""The small process that outlives the others: it holds the listening socket, and renews who answers on it.

SIGHUP starts a new web process, from the code that is installed now, before the old one stops to accept; when a web
process dies, connections wait in the socket's backlog for the next one. So a client is never refused.
Nothing of what answers is loaded here: it would be held for ever, and waited for twice.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType

from oakmill.errors import HubError, Unavailable
from oakmill.processes.running import readable

HAND_OVER = signal.SIGUSR1
"""What tells a web process that another goes on."""
ALIVE_SECONDS = 2.0
"""How often a web process tells that it is alive."""
ENDING_SECONDS = 10
BACKLOG = 2048
STARTING_SECONDS = 120
HANGING_SECONDS = 60.0
"""How long a web process may say nothing before it is replaced; a loaded machine makes it slow."""
_FIRST_INHERITED = 3
_LONGEST_PAUSE = 5.0
_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

Say = Callable[[str], None]


def listen(host: str, port: int) -> socket.socket:
    """The socket that the hub listens on: inherited from systemd, else a new one.

    Raises:
        HubError: the address is in use, or is none of this machine's.
    """
    inherited = _inherited()
    if inherited is not None:
        return inherited
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise HubError(
            f"The hub cannot listen on {host}:{port}: {error.strerror}",
            subject=f"{host}:{port}",
            remedy="Choose another port: oakmill serve --port 0 takes a free one.",
        ) from error


def _inherited() -> socket.socket | None:
    environment = os.environ  # noqa: TID251 - systemd's protocol, not a setting
    if environment.get("LISTEN_PID") != str(os.getpid()) or not int(environment.get("LISTEN_FDS", "0")):
        return None
    return socket.socket(fileno=_FIRST_INHERITED)


class WebProcess:
    """A process that answers on the socket."""

    def __init__(self, listener: socket.socket, environment: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            OSError: the machine has no room for another process.
        """
        self._told, told = os.pipe()
        theirs, self._held = os.pipe()  # its end is the parent's end: no orphan goes on answering
        os.set_blocking(told, False)
        command = [sys.executable, "-m", "oakmill.server.web", str(listener.fileno()), str(told)]
        try:
            self.process = subprocess.Popen(
                command,
                stdin=theirs,
                pass_fds=(listener.fileno(), told),
                start_new_session=True,  # Ctrl-C is for the parent, which ends it in order
                env={**os.environ, **environment},  # noqa: TID251 - settings given on the command line count too
            )
        except OSError:
            self.forget()
            raise
        finally:
            os.close(theirs)
            os.close(told)
        self._silent = 0.0
        self._looked = time.monotonic()

    def wait_ready(self, seconds: float) -> bool:
        """Whether it answers now; False when it has ended, or takes longer."""
        return self._is_heard(seconds)

    def _is_heard(self, seconds: float = 0) -> bool:
        return readable(self._told, seconds) and bool(os.read(self._told, 4096))

    @property
    def hangs(self) -> bool:
        """Whether it has not been heard of for long. While this process was stopped itself, no time has passed."""
        now = time.monotonic()
        self._silent = 0.0 if self._is_heard() else self._silent + min(now - self._looked, ALIVE_SECONDS)
        self._looked = now
        return self._silent > HANGING_SECONDS

    def kill(self) -> None:
        """End it by force, and wait for that."""
        self.process.kill()
        self.process.wait()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def hand_over(self) -> None:
        """Let it finish what it has begun, and end."""
        self.process.send_signal(HAND_OVER)

    def end(self) -> None:
        """Ask it to end; `wait` waits for that."""
        self.process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for its end, which comes by force when it takes too long."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.forget()

    def forget(self) -> None:
        """Give back what was held for it."""
        for handle in (self._told, self._held):
            os.close(handle)


class Parent:
    """Keeps one web process answering, with these settings as variables, and those before it ending."""

    def __init__(self, listener: socket.socket, environment: Mapping[str, str], say: Say) -> None:
        self._listener = listener
        self._environment = environment
        self._say = say
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._retiring: list[WebProcess] = []
        self._pause = 0.0
        self._started = 0.0

    def run(self, started: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT. `started` is called once, when the first web process answers.

        Raises:
            Unavailable: the first web process does not come up.
        """
        with self._listening():
            web = self._start()
            if web is None:
                raise Unavailable("The web process does not start; what it said stands above.")
            started()
            while (what := self._next()) not in (signal.SIGTERM, signal.SIGINT):
                if what == signal.SIGHUP:
                    web = self._renew(web)
                elif not web.is_alive or self._is_killed(web):
                    web = self._replace(web)
                self._reap()
            self._end(web)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        def note(number: int, frame: FrameType | None) -> None:
            self._signals.put(number)

        before = {number: signal.signal(number, note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _next(self) -> int:
        try:
            return self._signals.get(timeout=1)
        except Empty:
            return signal.SIGCHLD  # look after the children now and then, whatever signals got lost

    def _is_killed(self, web: WebProcess) -> bool:
        """Whether the process hung, and so was ended; nobody else would notice."""
        if not web.hangs:
            return False
        self._say(f"the web process has not been heard of for {HANGING_SECONDS:.0f} s")
        web.kill()
        return True

    def _start(self) -> WebProcess | None:
        self._started = time.monotonic()
        try:
            web = WebProcess(self._listener, self._environment)
        except OSError as error:  # no room for another process: it is tried again
            self._say(f"a web process cannot be started: {error.strerror}")
            return None
        if web.wait_ready(STARTING_SECONDS):
            return web
        web.end()
        web.wait(ENDING_SECONDS)
        return None

    def _renew(self, web: WebProcess) -> WebProcess:
        new = self._start()
        if new is None:
            self._say("the new web process does not start; the old one goes on")
            return web
        web.hand_over()
        self._retiring.append(web)
        self._say("a new web process has taken over")
        return new

    def _replace(self, web: WebProcess) -> WebProcess:
        """The web process died: start another, at once the first time, and ever slower when it keeps dying."""
        self._say(f"the web process ended with {web.process.returncode}; starting another")
        steady = time.monotonic() - self._started > _LONGEST_PAUSE
        self._pause = 0.0 if steady else min(_LONGEST_PAUSE, self._pause * 2 + 0.1)
        time.sleep(self._pause)
        new = self._start()
        if new is None:
            return web
        web.forget()
        return new

    def _reap(self) -> None:
        for web in [web for web in self._retiring if not web.is_alive]:
            web.forget()
            self._retiring.remove(web)

    def _end(self, web: WebProcess) -> None:
        for process in (leaving := [web, *self._retiring]):
            process.end()
        for process in leaving:
            process.wait(ENDING_SECONDS + 5)
