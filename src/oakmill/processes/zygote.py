"""Has loaded what takes seconds to load, and forks at each request a process that is as if it had just been started.

A program that is one, `python -P -m PROGRAM SOCKET`, calls `serve`, which says "{}" on the socket, a SEQPACKET, when it
has loaded, and then answers, until the other end is closed:

    {"command": [...], "folder": ...}   with input, output and messages as descriptors: {"pid": ...}, or {"errno": ...}
    {"reap": PID}                       once that process has ended: {"status": its exit code, negative for a signal}

What it forks does as the words before `--` say, as `landlock.py` would, and then is `python -m MODULE` of that one
module, or `python -c CODE`, without starting Python anew. The zygote has one thread, and reads nothing that anybody
brought. This module as a program has nothing to load, and its processes wait for a line.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from oakmill.processes import landlock
from oakmill.processes.loading import loading
from oakmill.processes.parts_socket import HELPERS_FD
from oakmill.processes.running import EVENTS_FD

Program = Callable[[], None]
LONGEST = 1 << 17
"""Bytes of a message: a command, with all that it may read."""
_HANDLES = 3


def serve(load: Program, main: Program) -> None:
    """Load, and fork until nobody asks any more; each process that was forked goes on as `main`, or as code."""
    door = socket.socket(fileno=int(sys.argv[1]))
    with loading():
        load()
    door.send(b"{}")
    become = _answer(door)
    if become is None:
        os._exit(0)
    become(main)


def _answer(door: socket.socket) -> Callable[[Program], None] | None:
    """Answer requests; a forked process gets what it is to become, and the zygote, at its end, nothing."""
    while True:
        message, handles, _, _ = socket.recv_fds(door, LONGEST, _HANDLES)
        if not message:
            return None
        asked = json.loads(message)
        if "reap" in asked:
            _, status = os.waitpid(asked["reap"], 0)
            answer = {"status": os.waitstatus_to_exitcode(status)}
        else:
            parent = os.getpid()
            try:
                pid = os.fork()
            except OSError as error:  # no room for another process
                answer = {"errno": error.errno or 0}
            else:
                if pid == 0:
                    door.close()
                    return partial(_become, asked, handles, parent)
                answer = {"pid": pid}
        for handle in handles:
            os.close(handle)
        door.send(json.dumps(answer).encode())


def _become(asked: Mapping[str, Any], handles: Sequence[int], parent: int, main: Program) -> None:
    """Be the process that was asked for."""
    os.setsid()
    events = _take(handles)
    os.chdir(asked["folder"])
    end = asked["command"].index("--")
    words, argv = asked["command"][:end], asked["command"][end + 1 :]
    os.environ[EVENTS_FD] = str(events)  # noqa: TID251 - as whoever starts a program gives it
    environment = landlock.put_on(words, argv)
    if os.getppid() != parent:
        os._exit(1)  # it ended before we were tied to it
    if os.getuid() or "wall:landlock" in words:
        landlock.give_up_capabilities()  # as a program that is started does
    os.environ.clear()  # noqa: TID251
    os.environ.update(environment)  # noqa: TID251
    _forget()
    _run(argv, main)


def _take(handles: Sequence[int]) -> int:
    """Make these its input and output, and keep of the zygote's own descriptors the helpers'; the one for messages."""
    stdin, stdout, events = handles
    for handle, number in ((stdin, 0), (stdout, 1), (stdout, 2)):
        os.dup2(handle, number)
    highest = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 - names are enough
    kept = sorted({2, events, highest + 1, int(os.environ.get(HELPERS_FD, events))})  # noqa: TID251
    for before, after in pairwise(kept):
        os.closerange(before + 1, after)
    return events


def _forget() -> None:
    """What the zygote settled for itself, each process settles anew."""
    tempfile.tempdir = None
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def _run(argv: Sequence[str], main: Program) -> None:
    """As Python would with these arguments, of which the first is its own path."""
    kind = next(word for word in argv if word in ("-m", "-c"))
    at = argv.index(kind) + 1
    sys.argv = [kind, *argv[at + 1 :]]
    if kind == "-m":
        main()
    else:
        exec(argv[at], {"__name__": "__main__"})  # as in: python -c


def _wait() -> None:
    sys.stdin.readline()


if __name__ == "__main__":
    serve(lambda: None, _wait)
