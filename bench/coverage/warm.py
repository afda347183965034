"""Keeps a toolchain's runner warm: one sandboxed process for thousands of jobs, each in a fork of its own.

A job costs the vendor's work alone then, not the start of an interpreter. All else is the product's: its toolchain
classes, its sandbox, its runner's code. What is replaced is the door's way of starting a runner.
"""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oakmill.processes.events import Watcher, ignore
from oakmill.processes.run import Finished
from oakmill.processes.sandbox import Limits
from oakmill.settings import Settings
from oakmill.toolchains import door
from oakmill.toolchains.environments import Environment

HERE = Path(__file__).parent
_NUMBERS = itertools.count()


class Warm:
    """Warm runners, one for each environment and runner; use as a context, in which the door leads to them.

    Job folders and models must lie below `folder`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._real = door.run_runner
        self._servers: dict[tuple[str, Path], _Server] = {}

    def __enter__(self) -> Warm:
        door.run_runner = self._run
        return self

    def __exit__(self, *error: object) -> None:
        door.run_runner = self._real
        for server in self._servers.values():
            server.stop()

    def _run(
        self,
        environment: Environment,
        package: Path,
        request: Mapping[str, Any],
        job: Path,
        *,
        read: Sequence[Path] = (),
        variables: Mapping[str, str] | None = None,
        watch: Watcher = ignore,
        settings: Settings,
    ) -> dict[str, Any]:
        server = self._servers.get((environment.name, package))
        if server is None:
            server = _Server(self, environment, package, read, variables or {}, settings)
            self._servers[environment.name, package] = server
        job = job.absolute()
        (job / "tmp").mkdir(exist_ok=True)
        (job / door.RESULT).unlink(missing_ok=True)
        (job / door.REQUEST).write_text(json.dumps({**request, "version": 1}))
        code, seconds = server.ask(job)
        log = (job / "log.txt").read_text(errors="replace")[-65536:] if (job / "log.txt").is_file() else ""
        finished = Finished(code, log, 0.0, seconds)
        answer: dict[str, Any] = door._answer(finished, job / door.RESULT, environment.name, Limits.of(settings))
        return answer

    def serve(self, environment: Environment, package: Path, **given: Any) -> None:
        """Run a server to its end."""
        self._real(environment, package, {"action": "serve"}, self.folder, **given)


class _Server:
    """One warm runner and the thread that holds it."""

    def __init__(
        self,
        warm: Warm,
        environment: Environment,
        package: Path,
        read: Sequence[Path],
        variables: Mapping[str, str],
        settings: Settings,
    ) -> None:
        self._stop = warm.folder / "stop"
        self._folder = warm.folder / f"warm-{next(_NUMBERS)}"
        copied = warm.folder.parent / f"{self._folder.name}-runner"
        shutil.copytree(package / "runner", copied / "runner")
        (copied / "runner" / "__main__.py").rename(copied / "runner" / "single.py")
        shutil.copy(HERE / "forking.py", copied / "runner" / "__main__.py")
        for name in ("inbox", "outbox"):
            (self._folder / name).mkdir(parents=True)
        given = {
            "read": [path for path in read if path.exists()],
            "variables": {**variables, "OAKMILL_WARM": str(self._folder)},
            "settings": settings.model_copy(update={"tool_seconds": 36000}),
        }
        self._thread = threading.Thread(target=warm.serve, args=(environment, copied), kwargs=given, daemon=True)
        self._thread.start()
        self._numbers = itertools.count()

    def ask(self, job: Path) -> tuple[int, float]:
        """Have a job done: the exit code, and the seconds."""
        name, started = f"{next(self._numbers):06}", time.monotonic()
        part = self._folder / f".{name}"
        part.write_text(str(job))
        part.rename(self._folder / "inbox" / name)
        answer = self._folder / "outbox" / name
        while not answer.exists():
            if not self._thread.is_alive():
                raise RuntimeError("the warm runner has ended")
            time.sleep(0.003)
        code = int(answer.read_text())
        answer.unlink()
        return code, time.monotonic() - started

    def stop(self) -> None:
        """End it."""
        self._stop.touch()
        self._thread.join(30)
