"""A runner's frame: the request comes in, the answer goes out, and what goes wrong is said by kind."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import frame
import pytest

from oakmill.toolchains.door import FRAME


def said(request: dict[str, Any]) -> dict[str, Any]:
    Path("by-the-task").write_text("written into the job's folder")
    frame.report(1, 2, "halves")
    return {"echo": request["word"]}


def refuse(request: dict[str, Any]) -> dict[str, Any]:
    raise frame.Refused("names", "there is none of that name", nodes=["a"])


def fail(request: dict[str, Any]) -> dict[str, Any]:
    raise ValueError(request["word"])


def leave(request: dict[str, Any]) -> dict[str, Any]:
    os.chdir("/")
    return {}


TASKS = {"said": said, "refuse": refuse, "fail": fail, "leave": leave}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # and back, as a task's process does not need to
    monkeypatch.setattr(sys, "argv", ["runner", str(tmp_path)])
    return tmp_path


def ask(job: Path, action: str, word: str = "word") -> tuple[int, Any]:
    (job / "request.json").write_text(json.dumps({"version": 1, "action": action, "word": word}))
    status = frame.serve(TASKS, (ValueError,))
    return status, json.loads((job / "result.json").read_text())


def test_the_task_of_the_actions_name_answers_in_the_jobs_folder(job: Path) -> None:
    assert ask(job, "said") == (0, {"echo": "word"})
    assert (job / "by-the-task").is_file()


def test_progress_is_a_line_on_the_descriptor_that_the_caller_gave(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setenv("OAKMILL_EVENTS_FD", str(writing))
    ask(job, "said")
    os.close(writing)
    with os.fdopen(reading) as events:
        assert [json.loads(line) for line in events] == [{"progress": {"done": 1, "of": 2, "what": "halves"}}]


def test_a_refusal_is_said_by_kind_with_its_details(job: Path) -> None:
    error = {"kind": "names", "message": "there is none of that name", "nodes": ["a"]}
    assert ask(job, "refuse") == (1, {"error": error})


@pytest.mark.parametrize(("word", "message"), [("no such shape", "no such shape"), ("", "ValueError")])
def test_what_the_vendors_library_raises_is_about_the_model(
    job: Path, capfd: pytest.CaptureFixture[str], word: str, message: str
) -> None:
    assert ask(job, "fail", word) == (1, {"error": {"kind": "model", "message": message}})
    assert "Traceback" in capfd.readouterr().err


def test_what_nobody_expects_ends_the_process(job: Path) -> None:
    with pytest.raises(KeyError):
        ask(job, "unknown")
    assert not (job / "result.json").exists()


def test_a_task_may_leave_the_folder(job: Path) -> None:
    assert ask(job, "leave") == (0, {})


def test_it_is_written_in_the_oldest_python_and_needs_nothing_but_it() -> None:
    text = (FRAME / "frame.py").read_text()
    tree = ast.parse(text, feature_version=(3, 8))
    names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {str(name) for name in names} <= sys.stdlib_module_names
    command = [sys.executable, "-S", "-E", "-c", "import frame"]
    assert subprocess.call(command, cwd=FRAME) == 0
