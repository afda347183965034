"""What a zygote forks is as if it had been started: its own variables, folder, seeds and end, and no one else's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oakmill.errors import LimitExceeded
from oakmill.processes import landlock, sandbox
from oakmill.processes.events import ToolEvent
from oakmill.processes.forks import ZygoteGone, Zygotes
from oakmill.processes.run import Limits, finish
from oakmill.processes.running import Running
from oakmill.processes.sandbox import Level
from tests.conftest import PROJECT

pytestmark = pytest.mark.heavy

BARE = "oakmill.processes.zygote"
ROOMY = Limits(seconds=60, memory_mb=2000, output_mb=100)
ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "OF_THE_ZYGOTE": "1"}  # noqa: TID251
SLEEPS = "import time\nprint('sleeps', flush=True)\ntime.sleep(100)"


@pytest.fixture
def zygotes() -> Iterator[Zygotes]:
    found = Zygotes(BARE, ENVIRONMENT)
    yield found
    found.close()


def started(zygotes: Zygotes, program: str, folder: Path) -> Running:
    return zygotes.start(sandbox.leashed([sys.executable, "-c", program, "word"]), folder=folder)


def said(zygotes: Zygotes, program: str, folder: Path) -> str:
    """All that a program printed."""
    return finish(started(zygotes, program, folder), cwd=folder, limits=ROOMY, name="it").log_tail.strip()


def ends_soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 120
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def zygote_of(running: Running) -> int:
    """The process that forked it."""
    return int(Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_it_has_its_words_folder_input_output_and_exit_code(zygotes: Zygotes, tmp_path: Path) -> None:
    program = "import os, sys\nprint(sys.argv, os.getcwd(), input())\nsys.stdout.flush()\nsys.exit('told')"
    running = started(zygotes, program, tmp_path)
    running.send(b"a line\n")
    finished = finish(running, cwd=tmp_path, limits=ROOMY, name="it")
    assert finished.log_tail.splitlines() == [f"['-c', 'word'] {tmp_path} a line", "told"]
    assert finished.returncode == 1


def test_its_messages_come_by_a_descriptor_of_their_own_and_it_has_no_other(zygotes: Zygotes, tmp_path: Path) -> None:
    program = (
        "import os\n"
        "events = int(os.environ['OAKMILL_EVENTS_FD'])\n"
        'os.write(events, b\'{"progress": {"done": 1, "of": 2, "what": "step"}}\\n\')\n'
        "others = set(map(int, os.listdir('/proc/self/fd'))) - {0, 1, 2, events}\n"
        "print(len(others), os.getsid(0) == os.getpid())"
    )
    heard: list[ToolEvent] = []
    finished = finish(started(zygotes, program, tmp_path), cwd=tmp_path, limits=ROOMY, name="it", watch=heard.append)
    assert [event.what for event in heard if event.total] == ["step"]
    assert finished.log_tail.strip() == "1 True"  # one is that of the list


def test_an_error_is_told_as_python_tells_it(zygotes: Zygotes, tmp_path: Path) -> None:
    finished = finish(started(zygotes, "1 / 0", tmp_path), cwd=tmp_path, limits=ROOMY, name="it")
    assert finished.returncode == 1
    assert finished.log_tail.strip().endswith("ZeroDivisionError: division by zero")


def test_nothing_that_one_leaves_in_its_variables_or_modules_reaches_the_next(zygotes: Zygotes, tmp_path: Path) -> None:
    leaves = "import json, os\nos.environ['SECRET'] = '1'\nos.environ.pop('OF_THE_ZYGOTE')\njson.left = os.umask(0o77)"
    assert said(zygotes, leaves, tmp_path) == ""
    looks = "import json, os\nprint('SECRET' in os.environ, 'OF_THE_ZYGOTE' in os.environ, hasattr(json, 'left'))"
    assert said(zygotes, looks, tmp_path) == "False True False"
    assert "SECRET" not in said(zygotes, "import os\nos.system('env')", tmp_path)


def test_behind_a_wall_it_has_the_variables_alone_that_are_named(zygotes: Zygotes, tmp_path: Path) -> None:
    """As what is started there: neither it, nor what it starts, has the zygote's or a power of root's."""
    if landlock.version() < 1:
        pytest.skip("this kernel has no Landlock")
    program = "import os\nos.system('env')\nprint(open('/proc/self/status').read())\nopen('x', 'w')"
    command = sandbox.command(
        [sys.executable, "-c", program],
        read=sandbox.own_code(),
        write=[],
        env={"NAMED": "1"},
        limits=ROOMY,
        isolation=sandbox.Isolation(Level.LANDLOCK, "a wall"),
    )
    running = zygotes.start(command, folder=tmp_path)
    finished = finish(running, cwd=tmp_path, limits=ROOMY, name="it")
    lines = finished.log_tail.splitlines()
    assert {line.partition("=")[0] for line in lines if re.match(r"\w+=", line)} <= {
        "NAMED",
        "OAKMILL_EVENTS_FD",
        "PWD",
    }
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1" and status["Threads"] == "1"
    assert any("PermissionError" in line for line in lines) and finished.returncode == 1


def test_each_has_seeds_of_its_own(tmp_path: Path) -> None:
    """A fork has its parent's generators: two looks would draw the same names and numbers."""
    zygotes = Zygotes("tests.unit.processes.drawing_zygote", {**ENVIRONMENT, "PYTHONPATH": str(PROJECT)})
    try:
        program = "import random, numpy\nprint(random.random(), numpy.random.random())"
        drawn = [said(zygotes, program, tmp_path).split() for _ in range(2)]
    finally:
        zygotes.close()
    assert len({number for pair in drawn for number in pair}) == 4


def test_one_that_is_killed_ends_alone(zygotes: Zygotes, tmp_path: Path) -> None:
    first, second = (started(zygotes, SLEEPS, tmp_path) for _ in range(2))
    zygote = zygote_of(first)
    os.kill(first.process.pid, signal.SIGKILL)
    assert ends_soon(lambda: first.has_ended)
    assert first.process.wait() == -signal.SIGKILL
    assert not second.has_ended
    third = started(zygotes, SLEEPS, tmp_path)
    assert zygote_of(third) == zygote
    for running in (first, second, third):
        running.stop(grace=0)
        assert running.has_ended and running.process.returncode == -signal.SIGKILL


def test_with_a_zygote_that_is_killed_all_that_it_forked_ends_and_the_next_comes(
    zygotes: Zygotes, tmp_path: Path
) -> None:
    running = started(zygotes, SLEEPS, tmp_path)
    zygote = zygote_of(running)
    os.kill(zygote, signal.SIGKILL)
    assert ends_soon(lambda: running.has_ended)
    finished = finish(running, cwd=tmp_path, limits=ROOMY, name="it")
    assert finished.returncode == -signal.SIGKILL
    other = started(zygotes, SLEEPS, tmp_path)
    assert zygote_of(other) != zygote
    other.stop(grace=0)


def test_it_is_ended_beyond_its_memory_and_the_zygote_forks_on(zygotes: Zygotes, tmp_path: Path) -> None:
    program = "kept = bytearray(b'x') * (400 << 20)\nimport time\ntime.sleep(100)"
    with pytest.raises(LimitExceeded, match="needed more than 200 MB of memory"):
        finish(started(zygotes, program, tmp_path), cwd=tmp_path, limits=Limits(60, 200, 100), name="it")
    assert said(zygotes, "print('next')", tmp_path) == "next"


OWNER = """
import sys
from pathlib import Path
from oakmill.processes import sandbox
from oakmill.processes.forks import Zygotes
command = sandbox.leashed([sys.executable, "-c", sys.argv[1]])
running = Zygotes("oakmill.processes.zygote", {}).start(command, folder=Path("/"))
stat = Path(f"/proc/{running.process.pid}/stat").read_text()
print(running.process.pid, stat.rpartition(")")[2].split()[1], flush=True)
sys.stdin.read()
"""


def test_nothing_outlives_the_kill_of_who_warmed_it() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, SLEEPS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert len(pids) == 2 and not any(map(is_gone, pids))
        owner.kill()
    assert ends_soon(lambda: all(map(is_gone, pids))), pids


def test_where_nothing_can_be_loaded_nothing_is_started(tmp_path: Path) -> None:
    zygotes = Zygotes("no_such_module", ENVIRONMENT)
    with pytest.raises(ZygoteGone, match="has ended"):
        started(zygotes, SLEEPS, tmp_path)
    zygotes.close()


def test_its_shared_memory_is_its_own(zygotes: Zygotes, tmp_path: Path) -> None:
    """Tools of one job read, and filled, what those of another keep in /dev/shm."""
    name = f"oakmill-{os.getpid()}"
    program = f"import os\nopen('/dev/shm/{name}', 'w')\nprint(os.listdir('/dev/shm'))"
    command = sandbox.leashed([sys.executable, "-c", program], own_memory=True)
    finished = finish(zygotes.start(command, folder=tmp_path), cwd=tmp_path, limits=ROOMY, name="it")
    if Path("/dev/shm", name).exists():
        Path("/dev/shm", name).unlink()
        assert any("/dev/shm" in gap for gap in sandbox.probe_landlock().gaps), "it could have been given its own"
        pytest.skip("this kernel gives no user namespaces")
    assert finished.log_tail.strip() == f"['{name}']"
