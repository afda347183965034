"""Keeps worker processes alive on this machine: one that dies is started again, ever later if it dies at once."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from oakmill.jobs import resources
from oakmill.processes import sandbox
from oakmill.settings import Settings

END_SECONDS = 10.0

_LOOK_SECONDS = 0.2
_LONGEST_PAUSE = 30.0
_HEALTHY_SECONDS = 30.0
_log = logging.getLogger(__name__)


@dataclass
class _Slot:
    """A worker process, and when the next may be started in its place."""

    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    not_before: float = 0.0
    pause: float = 0.0


class LocalWorkers:
    """As many workers as the settings say, or one for a Ray cluster, for the time of the block. They end with us, even
    by kill -9."""

    def __init__(self, settings: Settings, *, ray: bool = False) -> None:
        self._settings = settings
        self._arguments = ["--ray"] if ray else []
        self._slots = [_Slot() for _ in range(1 if ray else resources.slots(settings))]
        self._ending = threading.Event()
        # Its own thread starts them, and lives as long as they do: their leash is tied to it.
        self._thread = threading.Thread(target=self._keep, name="workers", daemon=True)

    @property
    def count(self) -> int:
        """How many workers there are."""
        return len(self._slots)

    def __enter__(self) -> Self:
        if self._slots:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask all to end, then insist."""
        self._ending.set()
        if self._slots:
            self._thread.join()

    def _keep(self) -> None:
        while not self._ending.is_set():
            for slot in self._slots:
                self._see_to(slot)
            self._ending.wait(_LOOK_SECONDS)
        self._end()

    def _see_to(self, slot: _Slot) -> None:
        """Start the slot's worker when there is none."""
        now = time.monotonic()
        if slot.process is not None and slot.process.poll() is not None:
            _log.warning("a worker ended with exit code %d; another is started", slot.process.returncode)
            slot.pause = 0.0 if now - slot.started > _HEALTHY_SECONDS else min(2 * slot.pause + 0.5, _LONGEST_PAUSE)
            slot.process, slot.not_before = None, now + slot.pause
        if slot.process is None and now >= slot.not_before:
            self._start(slot, now)

    def _start(self, slot: _Slot, now: float) -> None:
        try:
            slot.process, slot.started = start_worker(self._settings, *self._arguments), now
        except OSError as error:  # no room for another process: it is tried again
            slot.pause = min(2 * slot.pause + 0.5, _LONGEST_PAUSE)
            slot.not_before = now + slot.pause
            _log.warning("a worker cannot be started: %s", error.strerror)

    def _end(self) -> None:
        alive = [slot.process for slot in self._slots if slot.process is not None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        for process in alive:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start_worker(settings: Settings, *arguments: str) -> subprocess.Popen[bytes]:
    """Start `oakmill worker` with these settings; it ends with the thread that starts it."""
    return subprocess.Popen(
        sandbox.leashed([sys.executable, "-m", "oakmill", "worker", *arguments]),
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment_of(settings)},  # noqa: TID251 - settings given on the command line count too
        start_new_session=True,  # Ctrl-C is for the server, which ends its workers in order
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make these settings, without those that are the defaults."""
    values = settings.model_dump(mode="json", exclude_defaults=True)
    return {
        f"OAKMILL_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        if value is not None
    }
