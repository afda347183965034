"""Keeps the lease of a job that an agent holds, in a thread of its own, and tells the hub how it goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from oakmill.client import Hub
from oakmill.errors import HubError, HubUnreachable, OakmillError, Unavailable
from oakmill.hub.wire_agents import Claimed
from oakmill.jobs.states import LeaseState
from oakmill.jobs.told import Told

TELL_SECONDS = 0.5
"""Between two words, where there is something to tell."""
_LOOK_SECONDS = 0.1
_LINES, _LONGEST_LINE, _LONGEST_STAGE = 500, 4000, 16
"""Of one word."""


def passes(error: OakmillError) -> bool:
    """Whether the hub may answer otherwise soon: it is not there, has too much to do, or met an error of its own."""
    return isinstance(error, HubUnreachable | Unavailable) or (isinstance(error, HubError) and error.status >= 500)


class Lost(HubError):
    """The job is another agent's now; nothing of this attempt counts."""


class Cancelled(HubError):
    """The job was cancelled."""


class Keeper:
    """Says of a job that it goes on, until it is closed; what the hub answers is its `state`."""

    def __init__(self, hub: Hub, agent: str, held: Claimed) -> None:
        self.state = LeaseState.HELD
        self.stage = ""
        self._hub, self._agent, self._held = hub, agent, held
        self._told, self._lock, self._sending = Told(), threading.Lock(), threading.Lock()
        self._heard = self._said = time.monotonic()
        self._pause = TELL_SECONDS
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Take an event of the measurement."""
        with self._lock:
            self._told.add_event(event)
            self.stage = str(event["stage"])

    def add_line(self, text: str, kind: str = "log") -> None:
        """Take a line that belongs to no event."""
        with self._lock:
            self._told.add_line(text, kind)

    def require(self) -> None:
        """Go on only as long as the job is this agent's, and wanted.

        Raises:
            Lost: it is another's, or the hub was not heard of for as long as a lease is.
            Cancelled: it was cancelled.
        """
        if time.monotonic() - self._heard > self._held.lease_seconds:
            self.state = LeaseState.LOST
        if self.state is LeaseState.LOST:
            raise Lost(subject=self._held.job.id)
        if self.state is LeaseState.CANCEL:
            raise Cancelled(subject=self._held.job.id)

    def deliver(self, *, failed: bool = False) -> None:
        """Tell all that there is, before the job is ended: nobody can tell it later.

        Raises:
            Lost: the job is another's.
        """
        with self._lock:
            if failed:
                self._told.failed()
        while self._told.changed or self._told.lines:
            self._tell()
            if self.state is LeaseState.LOST or time.monotonic() - self._heard > self._held.lease_seconds:
                raise Lost(subject=self._held.job.id)
            if self._told.changed:
                time.sleep(self._pause)

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS) and self.state is not LeaseState.LOST:
            pause = self._pause if self._told.changed else self._held.beat_seconds
            if time.monotonic() - self._said >= pause:
                self._tell()

    def _tell(self) -> None:
        """One word; what does not arrive is told with the next."""
        with self._sending:
            word, count = self._word()
            self._said = time.monotonic()
            try:
                state = self._hub.agents.tell(self._held.job.id, word).state
            except OakmillError as error:
                self._unheard(error)
                return
            self._heard, self._pause = self._said, TELL_SECONDS
            if self.state is not LeaseState.LOST and state in set(LeaseState):
                self.state = LeaseState(state)
            with self._lock:
                del self._told.lines[:count]
                self._told.changed = self._told.changed or bool(self._told.lines)

    def _unheard(self, error: OakmillError) -> None:
        """Tell it later; or never, where the job is gone, or the key is not in force any more."""
        if not passes(error):
            self.state = LeaseState.LOST
            return
        self._told.changed = True
        self._pause = min(2 * self._pause, self._held.beat_seconds)

    def _word(self) -> tuple[dict[str, Any], int]:
        with self._lock:
            told = self._told
            lines = told.lines[:_LINES]
            told.changed = False
            word = {
                "token": self._held.token,
                "agent": self._agent,
                "stages": [dict(stage) for stage in told.stages[-20:]],
                "progress": dict(told.progress) or None,
                "lines": [
                    {
                        "text": line.text[:_LONGEST_LINE],
                        "stage": line.stage[:_LONGEST_STAGE],
                        "kind": line.kind,
                        "at": line.at.isoformat(),
                    }
                    for line in lines
                ],
            }
            return word, len(lines)
