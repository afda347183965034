"""Conversions that are interrupted, killed, or run side by side leave nothing half done and nobody running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conversion.conftest import command, read_answer
from tests.conversion.makers import conv_model, saved

LONG = 120  # convolutions: some seconds of compiling


@dataclass
class Running:
    """A conversion that has just begun to compile."""

    process: subprocess.Popen[str]
    temporary: Path
    out: Path

    def tools(self) -> list[int]:
        """The processes of vendors' tools that work for it, the sandboxes too."""
        return [pid for pid in living() if str(self.temporary) in command_line(pid) and pid != self.process.pid]

    def compilers(self) -> list[int]:
        """Those of them that are not the sandbox but the compiler in it."""
        return [pid for pid in self.tools() if "python" in command_line(pid).split(" ")[0]]


def living() -> list[int]:
    return [
        int(name) for name in (path.name for path in Path("/proc").iterdir()) if name.isdigit() and is_alive(int(name))
    ]


def is_alive(pid: int) -> bool:
    """A zombie is dead: it only waits for its parent to take note."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)  # to look at all processes takes a while itself
    return condition()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    import onnx

    model = conv_model(shape=(1, 3, 320, 320))
    nodes = [onnx.helper.make_node("Conv", ["features", "deep"], ["x0"], "deep0", pads=[1, 1, 1, 1])]
    for index in range(LONG):
        nodes.append(
            onnx.helper.make_node("Conv", [f"x{index}", "deep"], [f"x{index + 1}"], f"c{index}", pads=[1, 1, 1, 1])
        )
    nodes.append(onnx.helper.make_node("Relu", [f"x{LONG}"], ["scores"], "last"))
    del model.graph.node[1:]
    model.graph.node.extend(nodes)
    import numpy as np

    deep = np.random.default_rng(0).standard_normal((4, 4, 3, 3)).astype(np.float32) * 0.2
    model.graph.initializer.append(onnx.numpy_helper.from_array(deep, "deep"))
    path, temporary, out = saved(model, tmp_path / "deep.onnx"), tmp_path / "temporary", tmp_path / "out"
    temporary.mkdir()
    process = subprocess.Popen(
        command("convert", path, "--to", "rvc2", "--json", "--no-cache", "-o", out),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},  # noqa: TID251
    )
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line).get("event", {})
        if event.get("stage") == "compile":
            break
    conversion = Running(process, temporary, out)
    assert eventually(lambda: bool(conversion.compilers())), "the compiler did not start"
    yield conversion
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_whole_tree_and_leaves_nothing(running: Running, number: signal.Signals) -> None:
    tools = running.tools()
    running.process.send_signal(number)
    _, errors = running.process.communicate(timeout=240)
    assert running.process.returncode == 130
    assert "interrupted" in errors
    assert eventually(lambda: not any(map(is_alive, tools)))
    assert not list(running.temporary.iterdir())
    assert not list(running.out.iterdir())


def test_a_killed_conversion_takes_its_tools_along_and_shows_no_result(running: Running) -> None:
    """kill -9: temporary files may stay, but no process, and nothing in the output folder that looks finished."""
    tools = running.tools()
    running.process.kill()
    running.process.wait(timeout=240)
    assert eventually(lambda: not any(map(is_alive, tools)))
    assert not [path for path in running.out.iterdir() if not path.name.startswith(".oakmill-")]


def test_a_killed_tool_is_told_as_such(running: Running) -> None:
    for pid in running.compilers():
        os.kill(pid, signal.SIGKILL)
    output, errors = running.process.communicate(timeout=240)
    answer = read_answer(running.process.returncode, output, errors)
    assert (answer.exit_code, answer.error["code"]) == (7, "ToolKilled")
    assert "signal 9 (SIGKILL)" in answer.error["message"]
    assert answer.error["remedy"]
    assert not list(running.temporary.iterdir())
    assert not list(running.out.iterdir())


def test_two_conversions_into_one_folder_at_once(tmp_path: Path) -> None:
    model = saved(conv_model(), tmp_path / "model.onnx")
    processes = [
        subprocess.Popen(
            command("convert", model, "--to", "rvc2", "--json", "-o", tmp_path / "out"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = []
    for process in processes:
        output, errors = process.communicate(timeout=240)
        answers.append(read_answer(process.returncode, output, errors))
    assert sorted(answer.exit_code for answer in answers) == [0, 9]
    (loser,) = (answer for answer in answers if answer.exit_code)
    assert loser.error["code"] == "OutputExists"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "model.rvc2.passport.html",
        "model.rvc2.passport.json",
        "model.rvc2.recipe.yaml",
        "model.rvc2.tar.xz",
    ]


def test_small_limits_are_enough_for_a_small_model(tmp_path: Path) -> None:
    model = saved(conv_model(), tmp_path / "model.onnx")
    finished = subprocess.run(  # noqa: TID251, PLW1510
        command("convert", model, "--to", "rvc2", "--json", "-o", tmp_path / "out"),
        capture_output=True,
        text=True,
        env={**os.environ, "OAKMILL_TOOL_MEMORY_MB": "256", "OAKMILL_TOOL_SECONDS": "5"},  # noqa: TID251
    )
    answer = read_answer(finished.returncode, finished.stdout, finished.stderr)
    assert answer.exit_code == 0, answer.error  # a small model stays within small limits
