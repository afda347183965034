"""What is asked of the isolated workers is answered behind the wall: by whatever runs there, hostile or broken."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oakmill.errors import LimitExceeded, NotFound, OakmillError, SourceError, Unavailable, UnsafeSource
from oakmill.processes import sandbox
from oakmill.processes.sandbox import Isolation, IsolationMissing, Level
from oakmill.settings import Settings
from oakmill.untrusted import ask
from oakmill.untrusted.ask import IsolatedWorkers
from oakmill.untrusted.folder import link_or_copy
from oakmill.untrusted.questions import (
    CheckModel,
    DescribeGraph,
    ExamineSet,
    InspectModel,
    Preprocessed,
    Question,
    Reports,
    TryColours,
)

QUESTIONS: list[Question[Any]] = [
    InspectModel(names=("a.onnx",)),
    CheckModel(model="a.onnx", inputs=(), platforms=("rvc2",)),
    ExamineSet(images="few"),
    ExamineSet(images="all"),
    DescribeGraph(model="a.onnx"),
    TryColours(model="a.onnx", inputs=(), variants=(Preprocessed(encoding="RGB"),), image="a.png"),
]

BEGIN = """
import json, os, socket, sys
from pathlib import Path
root = Path(sys.argv[1])
sys.stdin.readline()
asked = json.loads((root / "in/question.json").read_text())
def answer(told):
    (root / "out/answer.json").write_text(json.dumps(told))
"""
HOSTILE = (
    BEGIN
    + """
seen = {"environment": sorted(os.environ)}
def attempt(name, action):
    try:
        action()
        seen[name] = "done"
    except OSError as error:
        seen[name] = "refused"
given = next((root / "in/files").iterdir())
facts = json.loads(given.read_text())
attempt("read its own file", given.read_bytes)
attempt("write in its own folder", lambda: (root / "out/made/x").write_text("x"))
for name in ("secret", "neighbour"):
    attempt("read " + name, Path(facts[name]).read_bytes)
    attempt("write " + name, lambda: Path(facts[name]).write_text("x"))
attempt("write what it was given", lambda: given.write_text("x"))
attempt("replace what it was given", given.unlink)
attempt("write beside its folders", lambda: (root / "x").write_text("x"))
attempt("write our code", lambda: (Path(facts["code"]) / "x.py").write_text("x"))
attempt("list the hub", lambda: os.listdir(facts["hub"]))
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", facts["port"]), 2))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", facts["port"])))
attempt("unix", lambda: socket.socket(socket.AF_UNIX).connect(facts["unix"]))
attempt("read our environment", lambda: Path("/proc/%d/environ" % facts["pid"]).read_bytes())
attempt("end us", lambda: os.kill(facts["pid"], 0))
answer({"error": {"code": "NotFound", "message": json.dumps(seen), "remedy": "", "subject": "", "log": ""}})
"""
)


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IsolatedWorkers]:
    monkeypatch.setattr(ask, "ZYGOTE", "oakmill.processes.zygote")  # for what is asked of these nothing has to be there
    found = IsolatedWorkers(Settings(home=tmp_path / "home"))
    yield found
    found.close()


def runs(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Let workers that are started from now on be this program, by the same door."""
    monkeypatch.setattr(ask, "PROGRAM", ("-c", program))


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What a hostile worker would like to have, and where it is."""
    hub = tmp_path / "home" / "hub"
    (hub / "work" / "look-other" / "in").mkdir(parents=True)
    secret, neighbour = hub / "secret", hub / "work" / "look-other" / "in" / "model.onnx"
    for path in (secret, neighbour):
        path.write_text("of others")
    monkeypatch.setenv("OAKMILL_DATABASE", "postgresql://user:password@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        yield {
            "hub": str(hub),
            "secret": str(secret),
            "neighbour": str(neighbour),
            "code": str(Path(ask.__file__).parent),
            "port": tcp.getsockname()[1],
            "unix": str(tmp_path / "s"),
            "pid": os.getpid(),
        }


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda asked: type(asked).__name__)
def test_whatever_runs_there_reaches_nothing_but_its_own_folder(
    question: Question[Any],
    workers: IsolatedWorkers,
    secrets: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if sandbox.probe().level is Level.NONE:
        pytest.skip(sandbox.probe().detail)
    runs(monkeypatch, HOSTILE)
    given = tmp_path / "given"
    given.write_text(json.dumps(secrets))
    with pytest.raises(NotFound) as caught:
        workers.ask(question, {"a.onnx": partial(link_or_copy, given)})
    seen = json.loads(caught.value.message)
    ours = {"HOME", "TMPDIR", "LANG", "PYTHONDONTWRITEBYTECODE", "OAKMILL_EVENTS_FD", "PWD", "LC_CTYPE"}
    assert set(seen.pop("environment")) <= ours
    assert {name for name, outcome in seen.items() if outcome == "done"} == {
        "read its own file",
        "write in its own folder",
    }
    assert len(seen) == 16
    assert given.read_text() == json.dumps(secrets)
    assert Path(secrets["secret"]).read_text() == "of others"


def test_a_file_grows_no_larger_than_allowed(
    workers: IsolatedWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, BEGIN + '(root / "out/x").open("wb").truncate(1 << 45)\nanswer({"answer": {"reports": {}}})')
    with pytest.raises(SourceError, match="ended the process"):
        workers.ask(QUESTIONS[1], {})


@pytest.mark.parametrize(
    "ending",
    [
        "os.kill(os.getpid(), 9)",
        "sys.exit(0)",
        "answer([])",
        "answer({})",
        'answer({"answer": {"reports": {"rvc2": 1}}})',
        'answer({"error": "no"})',
        'answer({"error": {"code": "NotFound"}})',
        '(root / "out/answer.json").write_text("[" * 100_000)',
        '(root / "out/answer.json").write_bytes(bytes(1000))',
        'os.mkfifo(root / "out/answer.json")',
        'os.mkdir(root / "out/answer.json")',
        'os.symlink(root / "in/question.json", root / "out/answer.json")',
        '(root / "out/answer.json").open("wb").truncate(1 << 30)',
    ],
)
def test_what_is_no_answer_is_told_as_a_broken_file(
    workers: IsolatedWorkers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str
) -> None:
    runs(monkeypatch, BEGIN + "print('its last words', flush=True)\n" + ending)
    with pytest.raises(SourceError, match=r"Looking at a\.onnx ended the process") as caught:
        workers.ask(QUESTIONS[1], {"a.onnx": Path.touch})
    assert type(caught.value) is SourceError
    assert "its last words" in caught.value.log


@pytest.mark.parametrize(
    ("code", "kind"), [("UnsafeSource", UnsafeSource), ("ClassVar", SourceError), ("annotations", SourceError)]
)
def test_an_error_keeps_its_name_if_it_is_one_of_ours_and_loses_its_folders(
    workers: IsolatedWorkers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, kind: type[OakmillError]
) -> None:
    told = '"message": f"{root}/in/files/deep/a.onnx is odd", "remedy": "", "subject": f"{root}/out/tmp/b", "log": ""'
    runs(monkeypatch, BEGIN + f'answer({{"error": {{"code": "{code}", {told}}}}})')
    with pytest.raises(kind) as caught:
        workers.ask(QUESTIONS[1], {})
    assert (type(caught.value), caught.value.message, caught.value.subject) == (kind, "deep/a.onnx is odd", "b")


def test_what_was_made_is_there_within_the_block_and_nothing_is_after_it(
    workers: IsolatedWorkers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs(monkeypatch, BEGIN + '(root / "out/made/x").write_text("made")\nanswer({"answer": {"reports": {}}})')
    with workers.asking(QUESTIONS[1], {}) as (found, made):
        assert found == Reports(reports={})
        assert (made / "x").read_text() == "made"
    assert not made.parents[1].exists()


def test_a_file_name_that_leads_elsewhere_is_refused(workers: IsolatedWorkers, tmp_path: Path) -> None:
    with pytest.raises(UnsafeSource):
        workers.ask(QUESTIONS[0], {"../../a.onnx": partial(link_or_copy, tmp_path / "a")})


def test_a_look_that_takes_too_long_is_ended_in_words(
    workers: IsolatedWorkers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs(monkeypatch, BEGIN + "import time\nwhile True: time.sleep(1)")
    monkeypatch.setattr(CheckModel, "limit", 1)
    with pytest.raises(LimitExceeded, match=r"Looking at a\.onnx took more than 1 s"):
        workers.ask(QUESTIONS[1], {"a.onnx": Path.touch})


def test_a_file_that_is_looked_at_for_long_holds_up_nobody(
    workers: IsolatedWorkers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Looks went one after the other: a hostile file that used up its minute kept all other uploads waiting for it."""
    runs(monkeypatch, BEGIN + 'print(flush=True)\nif asked["question"]["model"] == "slow": os.kill(os.getpid(), 19)\n'
         'answer({"answer": {"reports": {}}})')  # fmt: skip
    refused: list[OakmillError] = []

    def look() -> None:
        try:
            workers.ask(CheckModel(model="slow", inputs=(), platforms=()), {}, "slow")
        except OakmillError as error:
            refused.append(error)

    monkeypatch.setattr(CheckModel, "limit", 4)
    slow = threading.Thread(target=look)
    slow.start()
    assert workers.ask(CheckModel(model="fast", inputs=(), platforms=()), {}, "fast") == Reports(reports={})
    assert slow.is_alive()
    slow.join()
    assert [type(error) for error in refused] == [LimitExceeded]


def test_a_worker_outlives_the_thread_that_asked_for_it(
    workers: IsolatedWorkers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The kernel ends a sandboxed process with the thread that started it, and a request's thread ends with it."""
    runs(monkeypatch, BEGIN + 'answer({"answer": {"reports": {}}})')
    threads = [threading.Thread(target=target) for target in (workers.warm, lambda: workers.ask(QUESTIONS[1], {}))]
    for thread in threads:
        thread.start()
        thread.join()
    time.sleep(0.2)
    assert workers._waiting is not None
    waiting = workers._waiting.result()
    assert not waiting.has_ended
    assert workers.ask(QUESTIONS[1], {}) == Reports(reports={})
    assert waiting.has_ended, "another one answered"


def test_a_waiting_worker_that_was_ended_is_replaced(
    workers: IsolatedWorkers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs(monkeypatch, BEGIN + 'answer({"answer": {"reports": {}}})')
    workers.warm()
    assert workers._waiting is not None
    waiting = workers._waiting.result()
    os.kill(waiting._running.process.pid, signal.SIGKILL)
    while not waiting.has_ended:
        time.sleep(0.01)
    assert workers.ask(QUESTIONS[1], {}) == Reports(reports={})
    assert not waiting.folder.root.exists()


def test_the_end_of_the_hub_leaves_no_worker_and_no_folder(
    workers: IsolatedWorkers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs(monkeypatch, BEGIN)
    workers.warm()
    workers.close()
    assert not list((tmp_path / "home" / "hub" / "work").iterdir())
    with pytest.raises(Unavailable):
        workers.ask(QUESTIONS[1], {})


def test_a_look_that_the_end_of_the_hub_ends_says_nothing_of_its_file(
    workers: IsolatedWorkers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The kernel ends workers with the thread that starts them; a sound upload would be refused for good."""
    runs(monkeypatch, BEGIN + '(root / "out/made/begun").touch()\nimport time\ntime.sleep(100)')
    refused: list[OakmillError] = []

    def look() -> None:
        try:
            workers.ask(QUESTIONS[1], {"a.onnx": Path.touch})
        except OakmillError as error:
            refused.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    while not list(tmp_path.glob("home/hub/work/*/out/made/begun")):
        time.sleep(0.05)
    workers.close()
    thread.join(120)
    assert [type(error) for error in refused] == [Unavailable]


def test_without_a_wall_nothing_is_looked_at_where_the_operator_requires_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "probe", lambda: Isolation(Level.NONE, "none here"))
    workers = IsolatedWorkers(Settings(home=tmp_path, isolation="required"))
    workers.warm()
    with pytest.raises(IsolationMissing):
        workers.ask(QUESTIONS[1], {})
    workers.close()
    assert not (tmp_path / "hub" / "work").exists()
