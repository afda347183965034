"""Helpers as a job's process sees them: at the other end of the socket that its worker was given by Ray's task."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from oakmill.processes.parts_socket import HELPERS_FD, Asking
from oakmill.toolchains import helpers
from oakmill.toolchains.helpers import Answer, Part

_log = logging.getLogger(__name__)


def use_those_of_the_worker() -> None:
    """Ask the helpers whose socket this process has inherited, if it has."""
    if handle := os.environ.get(HELPERS_FD):  # noqa: TID251 - as whoever starts a process gives it
        helpers.use(Elsewhere(Asking(int(handle))))


class Elsewhere:
    """Helpers at the other end of a socket. An outage of theirs is none of the job's: it does all itself."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def free(self) -> int:
        """How many could begin at once; none where nobody answers."""
        try:
            self._asking.ask({"ask": "free"})
            return int(self._asking.heard().get("free", 0))
        except OSError as error:
            _log.warning("helpers cannot be asked: %s", error)
            return 0

    def do(self, parts: Sequence[Part], ended: Callable[[int], None]) -> list[Answer] | None:
        """The answers; None where any part was not done."""
        try:
            with ExitStack() as stack:
                handles = [stack.enter_context(part.source.open("rb")).fileno() for part in parts]
                handles += [stack.enter_context(part.target.open("xb")).fileno() for part in parts]
                self._asking.ask({"parts": [{"work": part.work, "request": part.request} for part in parts]}, handles)
            while "ended" in (heard := self._asking.heard()):
                ended(heard["ended"])
        except OSError as error:
            _log.warning("helpers cannot be asked: %s", error)
            return None
        return heard.get("answers")
