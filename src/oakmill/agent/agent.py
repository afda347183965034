"""The agent itself: says which cameras there are, takes one job after another for them, and runs each to its end."""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from oakmill import __version__, devices
from oakmill.agent.keeper import passes
from oakmill.agent.work import Work
from oakmill.client import Hub
from oakmill.devices import Camera
from oakmill.devices.vendor import words_apart
from oakmill.errors import DeviceError, OakmillError
from oakmill.hub.wire_agents import Claimed

POLL_SECONDS = 3.0
_MOST_CAMERAS = 16
_log = logging.getLogger(__name__)


class Agent:
    """Works for one hub with the cameras of this machine, or with one of them alone."""

    def __init__(self, hub: Hub, called: str | None = None) -> None:
        machine = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).strip("-._")[:60] or "machine"
        self.name = f"{machine}:{os.getpid()}:{secrets.token_hex(2)}"
        self._hub, self._called = hub, called
        self._opened: dict[str, Mapping[str, Any]] = {}
        self._said: tuple[str, ...] | None = None

    def run(self) -> None:
        """Take jobs until interrupted; a job that runs then is given back, untried."""
        try:
            while True:
                if not self._next():
                    time.sleep(POLL_SECONDS)
        finally:
            self._leave()

    def run_once(self) -> bool:
        """Take one job, and run it to its end; False when there was none to take."""
        try:
            return self._next()
        finally:
            self._leave()

    def _next(self) -> bool:
        """Run the next job, if there is one.

        Raises:
            NoKey, Forbidden: the key is not in force, or does not allow conversions.
        """
        cameras = self._cameras()
        try:
            held = self._hub.agents.claim(self.name, socket.gethostname()[:255], __version__, self._told(cameras))
        except OakmillError as error:
            if not passes(error):
                raise
            _log.warning("%s", error.message)
            return False
        if held is None:
            return False
        self._work(held, cameras)
        return True

    def _work(self, held: Claimed, cameras: Sequence[Camera]) -> None:
        platform = str(held.job.platform).upper()
        camera = next((camera for camera in cameras if camera.is_free and camera.platform == platform), None)
        if camera is None:  # a job for a camera that the hub was not told of
            self._hub.agents.release(held)
            return
        _log.info("%s %s on %s", held.job.kind, held.job.name, camera.words)
        try:
            device = Work(self._hub, self.name, held, camera).run()
        except OakmillError as error:  # its lease ends, and it is another's
            if not passes(error):
                raise
            _log.warning("the job %s cannot be ended: %s", held.job.name, error.message)
            return
        if device:
            self._opened[camera.identifier] = device
            _log.info("%s is done", held.job.name)

    def _cameras(self) -> list[Camera]:
        """Those of this machine, as far as they are this agent's; what keeps it from looking is told."""
        try:
            with words_apart():
                found = [camera for camera in devices.find() if self._called is None or camera.is_called(self._called)]
        except DeviceError as error:
            _log.warning("%s", error.message)
            found = []
        said = tuple(f"{camera.words}, {camera.problem or camera.state}" for camera in found)
        if said != self._said:
            self._said = said
            _log.info("%s", "; ".join(said) if said else f"{devices.looked_for()}; the agent looks again")
        return found[:_MOST_CAMERAS]

    def _told(self, cameras: Sequence[Camera]) -> list[dict[str, str]]:
        """The cameras as the hub is told of them; product and firmware once one was opened."""
        rows = []
        for camera in cameras:
            known = self._opened.get(camera.identifier, {})
            names = ("identifier", "name", "platform", "state", "problem")
            row = {name: str(getattr(camera, name))[:255] for name in names}
            rows.append({**row, **{name: str(known.get(name, "")) for name in ("product", "firmware")}})
        return rows

    def _leave(self) -> None:
        with suppress(OakmillError):
            self._hub.agents.leave(self.name)
