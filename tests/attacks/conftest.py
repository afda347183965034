"""A tool that a hostile model has taken over, behind each wall that works here, and what lies outside of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oakmill.processes import sandbox
from oakmill.processes.sandbox import Isolation, Level
from oakmill.settings import Settings
from oakmill.toolchains.door import run_runner
from oakmill.toolchains.environments import Environment

RUNNER = """
import errno, json, os, resource, signal, subprocess, sys, time
from pathlib import Path
job = Path(sys.argv[1])
asked = json.loads((job / "request.json").read_text())
def answer(**found):
    (job / "result.json").write_text(json.dumps(found))
def attempt(action):
    try:
        return repr(action())
    except OSError as error:
        return errno.errorcode[error.errno]
outside = Path(asked["outside"])
exec(asked["program"])
"""

Attack = Callable[..., dict[str, Any]]
"""Lets the tool run a program, which finds `job`, `outside`, `attempt` and `answer`; what it answered."""


@pytest.fixture(params=["bubblewrap", "landlock"])
def wall(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Isolation:
    """Each wall that works on this machine."""
    found = {"bubblewrap": sandbox.probe_bubblewrap, "landlock": sandbox.probe_landlock}[request.param]()
    if found.level is Level.NONE:
        pytest.skip(found.detail)
    monkeypatch.setattr(sandbox, "probe", lambda: found)
    return found


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that the tool may read, as it may read a model, and not write; in it a file."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("theirs")
    return folder


@pytest.fixture
def attack(tmp_path: Path, outside: Path) -> Attack:
    """A run of the tool, whose job is the folder `job` beside `outside`."""
    package = tmp_path / "package"
    (package / "runner").mkdir(parents=True)
    (package / "runner" / "__init__.py").touch()
    (package / "runner" / "__main__.py").write_text(RUNNER)
    (tmp_path / "job").mkdir()
    environment = Environment("toy/1.0", Path(sys.prefix), Path(sys.executable), None, "", "")

    def run(program: str, **settings: Any) -> dict[str, Any]:
        request = {"program": program, "outside": str(outside)}
        job = tmp_path / "job"
        return run_runner(environment, package, request, job, read=[outside], settings=Settings(**settings))

    return run
