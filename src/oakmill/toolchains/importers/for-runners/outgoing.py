"""What both importers' runners share: the key, which hosts they may speak to, and how far a download is.

A request names `hosts`. One that is named as it is may be at any address, as somebody chose it; ".example.com" stands
for all below it, at public addresses and encrypted.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frame import Refused, report

_ENCRYPTED = 443
_PERIOD = 0.5


def unreachable(error: Exception) -> Refused:
    """What an error of a connection means."""
    return Refused("unreachable", f"{type(error).__name__}: {error}")


def key() -> str:
    """The user's key, by the input: it is in no file, no variable and no command line."""
    return sys.stdin.readline().strip()


class Doorkeeper:
    """Looks at each host before anything is connected to.

    What it refuses is no OSError: a library would try that again and again.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self._hosts = [name.lower() for name in request["hosts"]]
        from outside import is_public  # type: ignore[import-not-found]  # Oakmill's own rules, laid beside the request

        self._is_public = is_public
        self._look_up = socket.getaddrinfo
        socket.getaddrinfo = self.look_up  # what it answers is what is connected to

    def look_up(self, host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        """As `socket.getaddrinfo`, for hosts that may be spoken to."""
        name = (host.decode() if isinstance(host, bytes) else str(host)).lower().rstrip(".")
        if name in self._hosts:
            return self._look_up(host, port, *rest, **more)
        if not any(item.startswith(".") and name.endswith(item) for item in self._hosts):
            raise Refused("host", f"{name} is none of the hosts that models are fetched from")
        found = self._look_up(host, port, *rest, **more)
        if not all(self._is_public(str(item[4][0])) for item in found):
            raise Refused("host", f"{name} is a machine of a private network")
        if str(port) not in (str(_ENCRYPTED), "https"):
            raise Refused("host", f"{name} is to be asked without encryption")
        return found


@contextmanager
def watched(folder: Path, total: int, what: str) -> Iterator[None]:
    """Tell how many bytes have come into the folder, while the block lasts."""
    done = threading.Event()

    def tell() -> None:
        while not done.wait(_PERIOD):
            report(min(_bytes(folder), total), total, what)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    report(total, total, what)


def _bytes(folder: Path) -> int:
    count = 0
    for path in folder.rglob("*"):
        try:
            count += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # it was renamed meanwhile
            continue
    return count
