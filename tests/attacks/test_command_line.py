"""The command line ends in one sentence whatever it is given to read and wherever it is to write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

pytestmark = pytest.mark.heavy

OAKMILL = (sys.executable, "-m", "oakmill")


def saved(path: Path) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


def run(*words: str | Path, stdout: object = subprocess.PIPE) -> tuple[int, str]:
    """The exit code, and what was said on standard error."""
    process = subprocess.Popen([*OAKMILL, *map(str, words)], stdout=stdout, stderr=subprocess.PIPE, text=True)  # type: ignore[call-overload]
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def test_a_pipe_and_a_device_are_no_models(tmp_path: Path) -> None:
    """A FIFO was waited for without end, and /dev/zero read without end."""
    os.mkfifo(tmp_path / "model.onnx")
    for path in (tmp_path / "model.onnx", Path("/dev/zero")):
        code, said = run("convert", path, "--to", "rvc2", "-o", tmp_path / "out")
        assert code == 3, said
        assert said.startswith(f"error: {path.name} is ")
        assert "Traceback" not in said


def test_a_full_disk_behind_the_output_is_said(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        code, said = run("check", saved(tmp_path / "model.onnx"), stdout=full)
    assert said == "oakmill: what it says cannot be written: No space left on device. Print to another place.\n"
    assert code


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code, said = run("check", saved(tmp_path / "model.onnx"), "--json", stdout=writing)
    os.close(writing)
    assert (bool(code), said) == (True, "")


def test_a_terminal_that_is_closed_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGHUP ended it on the spot, and its work stayed among the temporary files."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    program = (
        "import signal, sys, time; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # whoever runs tests may use nohup
        "from oakmill.cli import main; from oakmill.conversion.output import publish\n"
        "def work(**_):\n    with publish.work_folder():\n        print('at work', flush=True); time.sleep(60)\n"
        "main.cli.commands = {}\nimport click\n"
        "main.cli.get_command = lambda ctx, name: click.command()(lambda: work())\n"
        "sys.argv = ['oakmill', 'convert']; main.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(scratch)},  # noqa: TID251
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        assert list(scratch.iterdir())
        process.send_signal(signal.SIGHUP)
        _, said = process.communicate(timeout=240)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "interrupted" in said
    deadline = time.monotonic() + 120
    while list(scratch.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
