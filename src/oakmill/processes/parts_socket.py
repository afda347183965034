"""How a process behind a wall asks for parts to be done elsewhere: by a socket that it inherits, and open files.

It cannot name a file that it may not open, for it names none: it sends descriptors. A message is a line of JSON of a
SEQPACKET socket, and each answer repeats the question's "id":

    {"id": ..., "ask": "free"}                               {"id": ..., "free": 3}
    {"id": ..., "parts": [{"work": ..., "request": ...}]}    {"id": ..., "ended": 1}, and so on, and at the end
        with each part's source and target as descriptors    {"id": ..., "answers": [...]}, or null for "not done"
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Mapping, Sequence
from typing import Any

HELPERS_FD = "OAKMILL_HELPERS_FD"
"""The variable that tells a process the number of the socket; there is none where nobody helps."""
LONGEST = 1 << 17
MOST_HANDLES = 64


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends: who does parts, and who asks."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Asking:
    """The end that asks."""

    def __init__(self, handle: int) -> None:
        self._socket = socket.socket(fileno=handle)
        self._id = ""

    def ask(self, question: Mapping[str, Any], handles: Sequence[int] = ()) -> None:
        """Send a question.

        Raises:
            OSError: it is too long, or nobody is there.
        """
        self._id = secrets.token_hex(8)
        socket.send_fds(self._socket, [json.dumps({"id": self._id, **question}).encode()], handles)

    def heard(self) -> dict[str, Any]:
        """The next message about the last question; what is left of earlier ones, of a process that was ended, is not.

        Empty where nobody is there any more.
        """
        while message := self._socket.recv(LONGEST):
            answer: dict[str, Any] = json.loads(message)
            if answer.get("id") == self._id:
                return answer
        return {}

    def close(self) -> None:
        """Ask no more."""
        self._socket.close()
