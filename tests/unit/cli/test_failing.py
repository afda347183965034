"""A failure is told to people and machines, with its exit code; where Oakmill itself fails, the evidence stays."""

from __future__ import annotations

import json
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from oakmill.cli import replay
from oakmill.cli.failing import Attempt, explained
from oakmill.conversion.events import Event, Kind, Stage
from oakmill.errors import CompileFailed, LimitExceeded, NotAModel
from oakmill.processes.tree import ask
from oakmill.settings import Settings
from oakmill.spec import Rvc2Spec


def attempt(folder: Path, *, as_json: bool = False, bundle: Path | None = None) -> Attempt:
    settings = Settings(home=folder / "home")
    return Attempt(folder / "model.onnx", "rvc2", folder / "out", settings, bundle, as_json, verbose=False)


def test_people_read_stage_cause_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left, explained(attempt(tmp_path)):
        raise NotAModel("model.onnx is empty")
    said = capsys.readouterr()
    assert left.value.code == 3
    assert not said.out
    for words in ("error: model.onnx is empty", "stage: ask", "why: ", "try: Copy, download or export"):
        assert words in said.err
    assert "evidence" not in said.err


def test_machines_get_the_error_as_before_and_the_failure_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit), explained(attempt(tmp_path, as_json=True)):
        raise NotAModel("model.onnx is empty", remedy="look")
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["exit_code"], error["remedy"]) == ("NotAModel", 3, "look")
    assert error["failure"]["rule"] == "empty-file"


def test_an_unknown_failure_offers_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), explained(attempt(tmp_path)):
        raise CompileFailed("it does not like tuesdays")
    assert "--debug-bundle FILE" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_where_oakmill_itself_fails_the_evidence_is_kept_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trying = attempt(tmp_path)
    with pytest.raises(ZeroDivisionError), explained(trying):
        trying.watching(lambda event: None)(Event(Stage.PREPARE, Kind.NOTE, "so far so good"))
        raise ZeroDivisionError("division by zero")
    assert (tmp_path / "out" / "model.debug.zip").is_file()
    assert "model.debug.zip" in capsys.readouterr().err


def test_a_bundle_that_cannot_be_written_does_not_hide_the_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as left, explained(attempt(tmp_path, bundle=tmp_path / "file" / "why.zip")):
        raise NotAModel("model.onnx is empty")
    assert left.value.code == 3
    assert "model.onnx is empty" in capsys.readouterr().err


def test_a_bundle_holds_the_whole_log_and_all_parameters(tmp_path: Path) -> None:
    """It held the last 40 lines, and the parameters that were given, without those that took effect beside."""
    trying = attempt(tmp_path, bundle=tmp_path / "why.zip")
    trying.spec = Rvc2Spec()
    log = "\n".join(f"line {number}" for number in range(500))
    with pytest.raises(SystemExit), explained(trying):
        raise CompileFailed("no", log=log)
    with zipfile.ZipFile(tmp_path / "why.zip") as bundle:
        assert bundle.read("log.txt").decode().strip() == log
        assert json.loads(bundle.read("effective.json"))["number_of_shaves"] == 8
        assert json.loads(bundle.read("spec.json")) == {}


def test_a_replay_that_fails_is_explained_as_a_conversion_is(tmp_path: Path) -> None:
    """It told the bare error, without stage, cause and remedies."""
    (tmp_path / "recipe.yaml").write_text("version: 99\n")
    done = CliRunner().invoke(replay.command, [str(tmp_path / "recipe.yaml"), "--json"])
    assert done.exit_code
    assert json.loads(done.stdout)["error"]["failure"]["stage"] == "ask"


def test_native_code_that_hangs_ends_with_the_process_in_words(tmp_path: Path) -> None:
    """Where onnxruntime hangs, neither an alarm nor Ctrl-C ends it: the command went on for ever, without a word."""
    script = textwrap.dedent("""
        import ctypes, sys
        from pathlib import Path
        from oakmill.cli.failing import Attempt, explained
        from oakmill.conversion.output.publish import work_folder
        from oakmill.processes.deadline import watched
        from oakmill.settings import Settings
        folder = Path(sys.argv[1])
        attempt = Attempt(folder / "m.onnx", "rvc2", folder / "out", Settings(home=folder), None, False, False)
        with explained(attempt), work_folder() as work, watched("onnxruntime's run of the model", 0.2):
            print(work, flush=True)
            ctypes.CDLL(None).pause()
    """)
    code, text = ask([sys.executable, "-c", script, tmp_path], 60)
    assert code == LimitExceeded.exit_code
    assert "error: onnxruntime's run of the model was not done after 0.2 s, and was ended" in text
    assert "Traceback" not in text
    assert not Path(text.splitlines()[0]).exists()
