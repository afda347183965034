"""Real conversions through the real command line, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oakmill.settings import current
from oakmill.toolchains.base import State
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain


@dataclass
class Answer:
    """What a run of `oakmill ... --json` said and left."""

    exit_code: int
    events: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    stderr: str = ""


Convert = Callable[..., Answer]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "oakmill", *map(str, arguments)]


@pytest.fixture(scope="session", autouse=True)
def rvc2_toolchain() -> Rvc2Toolchain:
    """The real RVC2 toolchain; installed into the user's own folder where it is not yet."""
    toolchain = Rvc2Toolchain(current())
    if toolchain.status().state is not State.INSTALLED:
        toolchain.install()
    return toolchain


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """The folder for temporary files of the conversions; empty again at the end, whatever happened."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    yield folder
    assert not list(folder.iterdir()), "a conversion left temporary files behind"


@pytest.fixture
def convert(temporary: Path) -> Convert:
    """Run `oakmill convert` with `--json` to its end."""

    def run(*arguments: str | Path, **variables: str) -> Answer:
        finished = subprocess.run(  # noqa: TID251, PLW1510 - the test is the user
            command("convert", *arguments, "--to", "rvc2", "--json"),
            capture_output=True,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary), **variables},  # noqa: TID251
            timeout=240,
        )
        return read_answer(finished.returncode, finished.stdout, finished.stderr)

    return run


def read_answer(exit_code: int, stdout: str, stderr: str) -> Answer:
    answer = Answer(exit_code, stderr=stderr)
    for line in stdout.splitlines():
        ((kind, content),) = json.loads(line).items()
        if kind == "event":
            answer.events.append(content)
        else:
            setattr(answer, kind, content)
    return answer
