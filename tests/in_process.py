"""Runs `oakmill` within the test's own process: the same words, answers and exit codes, without a second's start.

And a job of a hub, without the processes that a worker starts for it.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from oakmill.cli.main import main
from oakmill.conversion.depthai import Depthai
from oakmill.conversion.depthai import reader as depthai_reader
from oakmill.errors import VerificationFailed
from oakmill.jobs import worker
from oakmill.jobs.notify import Notifier
from oakmill.settings import Settings, current
from oakmill.storage.database import Database
from oakmill.storage.stores import open_store
from tests import fakes


@dataclass(frozen=True)
class Finished:
    """What a command said and its exit code, as of a process."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str | Path, **variables: str) -> Finished:
    """Run `oakmill ARGUMENTS` with these variables in the environment."""
    stdout, stderr = io.StringIO(), io.StringIO()
    words = ["oakmill", *map(str, arguments)]
    with (
        _environment(variables),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        _depthai_here(),
        mock.patch.object(sys, "argv", words),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except Exception:  # noqa: BLE001 - it would end a process with this
            traceback.print_exc()
            code = 1
    return Finished(code, stdout.getvalue(), stderr.getvalue())


def work(settings: Settings, job_id: str) -> None:
    """Run a job of the hub whose home the settings name, as `oakmill worker --once JOB` does."""
    db = Database.of(settings)
    notifier = Notifier.of(settings, db)
    try:
        with _environment({}), _depthai_here(), mock.patch.object(worker, "Children", fakes.Children):
            worker.Worker(settings, db, open_store(settings), notifier).run_once(job_id)
    finally:
        notifier.close()
        db.close()


@contextmanager
def _depthai_here() -> Iterator[None]:
    with (
        mock.patch.object(Depthai, "start", lambda self: None),
        mock.patch.object(Depthai, "read", _read_with_depthai),
    ):
        yield


def _read_with_depthai(self: Depthai, files: Sequence[Path]) -> list[dict[str, Any]]:
    """As the real one, which loads depthai anew in a process of its own each time."""
    try:
        return [json.loads(json.dumps(depthai_reader.read(path))) for path in files]
    except RuntimeError as error:
        raise VerificationFailed(f"depthai cannot read {files[-1].name}: {error}") from error


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """A process's own state, as a new one would find it; put back at the end."""
    before, tempfile.tempdir = tempfile.tempdir, None
    handler = signal.getsignal(signal.SIGTERM)
    with mock.patch.dict(os.environ, variables), warnings.catch_warnings():  # noqa: TID251
        warnings.simplefilter("ignore")
        current.cache_clear()
        try:
            yield
        finally:
            tempfile.tempdir = before
            signal.signal(signal.SIGTERM, handler)
    current.cache_clear()
