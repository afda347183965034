"""The whole tree of a command is seen and ended, also what leaves its session."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from oakmill.processes import tree as tree_module
from oakmill.processes.tree import Tree, ask

FAMILY = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    os.execv(sys.executable, [sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(60)"])
print("ready", flush=True)
time.sleep(60)
"""

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(program: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program], start_new_session=True, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in started:
        Tree(process.pid).stop(grace=0)
        process.communicate()


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 120
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def test_children_that_made_sessions_of_their_own_are_seen_and_ended(start: Start) -> None:
    tree = Tree(start(FAMILY).pid)
    assert eventually(lambda: len(tree.alive()) == 3)
    tree.stop(grace=0.1)
    assert tree.alive() == []


def test_a_child_that_was_seen_is_known_after_its_parent_ended(start: Start) -> None:
    process = start(FAMILY)
    tree = Tree(process.pid)
    assert eventually(lambda: len(tree.alive()) == 3)
    process.kill()
    assert eventually(lambda: len(tree.alive()) == 2)
    tree.stop(grace=0.1)
    assert tree.alive() == []


def test_a_zombie_does_not_count_as_alive(start: Start) -> None:
    process = start("print('ready', flush=True)")
    tree = Tree(process.pid)
    assert eventually(lambda: tree.alive() == [])
    assert process.poll() == 0


def test_memory_counts_what_children_hold_and_pages_that_they_share_only_once(start: Start) -> None:
    process = start(
        "import os, time\n"
        "block = bytearray(os.urandom(1 << 20)) * 80\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0: time.sleep(60); os._exit(0)\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    tree = Tree(process.pid)
    assert tree.exceeds(60)
    assert not tree.exceeds(180)  # though the four resident sizes add up to more than 320 MB
    assert tree.peak_mb > 320


def test_between_looks_at_the_whole_machine_a_tree_is_followed_from_parent_to_child(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All processes of the machine were read ten times a second and job, a tenth of a core where there are 200."""
    process = start(
        "import os, signal, time\n"
        "def grow(*_):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid(); block = b'x' * (80 << 20); time.sleep(60); os._exit(0)\n"
        "signal.signal(signal.SIGUSR1, grow)\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(60)"
    )
    tree = Tree(process.pid)
    assert tree.alive() == [process.pid]
    with monkeypatch.context() as patched:
        patched.setattr(tree_module, "_ALL_SECONDS", 600.0)
        patched.setattr(tree_module, "_processes", lambda: pytest.fail("it looks at the whole machine"))
        assert not tree.exceeds(60)
        process.send_signal(signal.SIGUSR1)
        assert eventually(lambda: tree.exceeds(60))
        process.kill()
        assert eventually(lambda: tree.exceeds(60)), "a child that was seen once is known after its parent ended"
    tree.stop(grace=0)
    assert tree.alive() == []


def test_a_question_is_answered_with_exit_code_and_both_outputs() -> None:
    program = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    assert ask([sys.executable, "-c", program], 10) == (3, "out\nerr\n")


def test_a_question_to_a_program_that_is_not_there_says_so() -> None:
    code, text = ask(["/nonexistent/program"], 10)
    assert code == 127
    assert "No such file" in text


def test_a_question_that_takes_too_long_is_cut_off_with_all_who_hold_the_pipe() -> None:
    started = time.monotonic()
    code, text = ask(["/bin/sh", "-c", "sleep 50 & sleep 50"], 0.2)
    assert code == -signal.SIGKILL
    assert "0.2 s" in text
    assert time.monotonic() - started < 40
