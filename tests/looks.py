"""Looks at files within the test's own process: the worker's own answers, without the second that it takes to start."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from unittest import mock

from oakmill.settings import Settings
from oakmill.untrusted import ask, worker
from oakmill.untrusted.folder import Folder


class Look(ask._Worker):
    """Stands in the place of a process behind the wall, for one question that can do no harm to a test."""

    has_ended = False

    def __init__(self, settings: Settings, zygotes: object) -> None:
        self._settings = settings
        self.folder = Folder(settings.hub.absolute() / "work" / f"look-{secrets.token_hex(8)}")
        self.folder.make()

    def _finished(self, seconds: float, subject: str) -> str:
        asked = json.loads(self.folder.question.read_text())
        self.folder.answer.write_text(json.dumps(worker._answered(asked, self.folder.root)))
        return ""

    def end(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder.root, ignore_errors=True)


class Looks(ask.IsolatedWorkers):
    """As the workers behind the wall. That there is one, and what they may do, `tests/unit/untrusted` shows."""

    def _start(self) -> Future[ask._Worker]:
        return self._starter.submit(Look, self._settings, self._zygotes)


@contextmanager
def in_process() -> Iterator[None]:
    """A hub that is opened in the block looks at files so."""
    with mock.patch("oakmill.hub.state.IsolatedWorkers", Looks):
        yield
