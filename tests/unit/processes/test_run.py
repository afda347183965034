"""Tools run to their end with log, progress and limits, and leave no process behind whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oakmill.errors import LimitExceeded, OutputError, ToolchainBroken, ToolKilled
from oakmill.processes import sandbox
from oakmill.processes.events import ToolEvent
from oakmill.processes.run import Limits, run
from oakmill.processes.sandbox import Isolation, Level
from oakmill.settings import Settings
from oakmill.toolchains.door import RunnerError, run_runner
from oakmill.toolchains.environments import Environment

pytestmark = pytest.mark.heavy

ROOMY = Limits(seconds=60, memory_mb=2000, output_mb=100)

TOY = """
import json, os, pathlib, signal, subprocess, sys, time
job = pathlib.Path(sys.argv[1])
request = json.loads((job / "request.json").read_text())
def tell(done, of, what):
    event = {"progress": {"done": done, "of": of, "what": what}}
    os.write(int(os.environ["OAKMILL_EVENTS_FD"]), json.dumps(event).encode() + b"\\n")
def answer(result, code=0):
    (job / "result.json").write_text(json.dumps(result))
    sys.exit(code)
exec(request["program"])
"""


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def living(marker: str) -> list[int]:
    """The processes that have the marker on their command line and are no zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                marked = marker.encode() in (entry / "cmdline").read_bytes()
                state = (entry / "status").read_text().partition("State:")[2].split()[0]
            except OSError:
                continue
            if marked and state not in "ZX":
                found.append(int(entry.name))
    return found


def eventually(holds: Callable[[], object], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(holds())


# run


def test_output_goes_to_the_log_and_line_by_line_to_the_watcher(tmp_path: Path) -> None:
    lines: list[str] = []
    program = "import sys; print('one'); print('10%\\r20%\\rdone', file=sys.stderr); print('no end', end='')"
    finished = run(
        [sys.executable, "-u", "-c", program],
        cwd=tmp_path,
        limits=ROOMY,
        watch=lambda event: lines.append(event.line),
    )
    assert lines == ["one", "10%", "20%", "done", "no end"]
    assert (tmp_path / "log.txt").read_bytes().decode() == finished.log_tail == "one\n10%\r20%\rdone\nno end"
    assert finished.returncode == 0


def test_progress_is_passed_on_and_noise_is_not(tmp_path: Path) -> None:
    noise = ["junk", "{}", "[1]", '{"progress": 1}', '{"progress": {"done": 1e999, "of": 2}}', "[" * 9000]
    good = json.dumps({"progress": {"done": 3, "of": 16, "what": "4 SHAVEs"}})
    program = f"import os; os.write(int(os.environ['OAKMILL_EVENTS_FD']), {chr(10).join([*noise, good])!r}.encode())"
    events: list[ToolEvent] = []
    run(python(program), cwd=tmp_path, limits=ROOMY, watch=events.append)
    assert events == [ToolEvent(done=3, total=16, what="4 SHAVEs")]


def test_a_flood_of_output_is_bounded_in_memory_and_on_disk(tmp_path: Path) -> None:
    limits = Limits(seconds=60, memory_mb=2000, output_mb=1)
    longest = 0

    def watch(event: ToolEvent) -> None:
        nonlocal longest
        longest = max(longest, len(event.line))

    finished = run(
        python("import sys; [sys.stdout.write('x' * 99999) for _ in range(40)]; print('the end')"),
        cwd=tmp_path,
        limits=limits,
        watch=watch,
    )
    assert len(finished.log_tail) == 1 << 16
    assert finished.log_tail.endswith("the end\n")
    log = (tmp_path / "log.txt").read_bytes()
    assert len(log) < (1 << 20) + 100
    assert log.endswith(b"... the rest is not kept\n")
    assert longest < 1 << 17


def test_a_run_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    limits = Limits(seconds=0.5, memory_mb=2000, output_mb=100)
    with pytest.raises(LimitExceeded, match=r"not done after 0.5 s") as caught:
        run(python("print('before', flush=True)\nwhile True: pass"), cwd=tmp_path, limits=limits)
    assert "OAKMILL_TOOL_SECONDS=1" in caught.value.remedy
    assert caught.value.log == "before\n"


def test_a_run_that_takes_too_much_memory_in_all_its_processes_is_ended(tmp_path: Path) -> None:
    limits = Limits(seconds=30, memory_mb=150, output_mb=100)
    marker = f"memory-{os.getpid()}"
    hog = "import sys, time; b = bytearray(90 << 20); time.sleep(60)"
    hogs = f"[subprocess.Popen([sys.executable, '-c', {hog!r}, '{marker}']) for _ in '12']"
    program = f"import subprocess, sys; {hogs}; input()"
    with pytest.raises(LimitExceeded, match="more than 150 MB") as caught:
        run(["/bin/sh", "-c", 'sleep 60 | "$@"', "sh", *python(program)], cwd=tmp_path, limits=limits)
    assert "OAKMILL_TOOL_MEMORY_MB=300" in caught.value.remedy
    assert living(marker) == []


def test_the_peak_of_memory_is_seen(tmp_path: Path) -> None:
    program = "import time; b = bytearray(80 << 20); del b; time.sleep(0.3)"
    assert 80 < run(python(program), cwd=tmp_path, limits=ROOMY).peak_mb < 200


def test_what_a_tool_leaves_running_is_ended_and_not_waited_for(tmp_path: Path) -> None:
    marker = f"leftover-{os.getpid()}"
    program = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', '{marker}'])"
    )
    started = time.monotonic()
    assert run(python(program), cwd=tmp_path, limits=ROOMY).returncode == 0
    assert living(marker) == []
    assert time.monotonic() - started < 40


def test_an_error_of_the_watcher_ends_the_tool(tmp_path: Path) -> None:
    marker = f"watcher-{os.getpid()}"

    def refuse(event: ToolEvent) -> None:
        raise ValueError(event.line)

    with pytest.raises(ValueError, match="first"):
        run(
            [*python("import time; print('first', flush=True); time.sleep(60)"), marker],
            cwd=tmp_path,
            limits=ROOMY,
            watch=refuse,
        )
    assert living(marker) == []


def test_a_command_that_is_not_there_is_a_broken_toolchain(tmp_path: Path) -> None:
    with pytest.raises(ToolchainBroken, match="compiler does not start"):
        run([str(tmp_path / "nothing")], cwd=tmp_path, limits=ROOMY, name="compiler")


def test_a_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "log.txt").symlink_to(victim)
    run(python("print('x')"), cwd=tmp_path, limits=ROOMY)
    assert victim.read_text() == "precious"


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    run(["/bin/true"], cwd=tmp_path, limits=ROOMY)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    run(["/bin/true"], cwd=tmp_path, limits=ROOMY)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


# run_runner


@pytest.fixture(params=["bubblewrap", "landlock", "none"])
def wall(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Isolation:
    """Force one wall."""
    found = Isolation(Level.NONE, "none")
    if request.param != "none":
        found = {"bubblewrap": sandbox.probe_bubblewrap, "landlock": sandbox.probe_landlock}[request.param]()
        if found.level is Level.NONE:
            pytest.skip(found.detail)
    monkeypatch.setattr(sandbox, "probe", lambda: found)
    return found


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a runner that does what the request's `program` says."""
    runner = tmp_path / "package" / "runner"
    runner.mkdir(parents=True)
    (runner / "__init__.py").touch()
    (runner / "__main__.py").write_text(TOY)
    (tmp_path / "job").mkdir()
    return runner.parent


ENVIRONMENT = Environment(
    name="toy/1.0",
    folder=Path(sys.prefix),
    python=Path(sys.executable),
    libraries=None,
    lock="",
    digest="",
)


def do(
    package: Path, program: str, settings: Settings | None = None, watch: Any = lambda event: None
) -> dict[str, Any]:
    job = package.parent / "job"
    request = {"program": program, "version": 7}
    return run_runner(ENVIRONMENT, package, request, job, watch=watch, settings=settings or Settings())


def test_a_runner_answers_and_tells_of_its_progress(wall: Isolation, package: Path) -> None:
    events: list[ToolEvent] = []
    program = "print('at work'); tell(1, 2, 'halves'); answer({'version': request['version'], 'cwd': os.getcwd()})"
    result = do(package, program, watch=events.append)
    assert result == {"version": 1, "cwd": str(package.parent / "job")}
    assert sorted(map(repr, events)) == sorted(
        map(repr, [ToolEvent(line="at work"), ToolEvent(done=1, total=2, what="halves")])
    )


def test_a_runner_sees_neither_our_variables_nor_modules_of_the_job(
    wall: Isolation, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAKMILL_SECRET", "s")
    monkeypatch.setenv("PYTHONSTARTUP", "/x")
    (package.parent / "job" / "colorsys.py").write_text("hostile = True")
    result = do(package, "import colorsys; answer({'file': colorsys.__file__, 'env': sorted(os.environ)})")
    assert Path(result["file"]).is_relative_to(sys.base_prefix)
    assert not {"OAKMILL_SECRET", "PYTHONSTARTUP", "USER"} & set(result["env"])


def test_a_runner_s_own_error_comes_with_kind_details_and_log(wall: Isolation, package: Path) -> None:
    program = "print('reading'); answer({'error': {'kind': 'engine', 'message': 'no such op', 'step': 'read'}}, 1)"
    with pytest.raises(RunnerError, match="no such op") as caught:
        do(package, program)
    assert (caught.value.kind, caught.value.details, caught.value.log) == (
        "engine",
        {"step": "read"},
        "reading\n",
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_named_by_its_signal(wall: Isolation, package: Path, number: signal.Signals) -> None:
    program = f"print('working', flush=True); os.kill(os.getpid(), {number:d})"
    with pytest.raises(ToolKilled, match=rf"toy/1.0 was ended by signal {number:d} \({number.name}\)") as caught:
        do(package, program)
    assert caught.value.log.startswith("working\n")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "program",
    [
        "pass",
        "sys.exit(3)",
        "(job / 'result.json').write_text('{broken')",
        "(job / 'result.json').write_text('[' * 99999)",
        "(job / 'result.json').write_text('[]')",
        "(job / 'result.json').symlink_to(job / 'request.json')",
        "os.mkfifo(job / 'result.json')",
        "(job / 'result.json').mkdir()",
        "open(job / 'result.json', 'wb').truncate(1 << 30)",
        "answer({'fine': 1}, 5)",
    ],
)
def test_whatever_is_no_valid_result_is_a_failure(package: Path, program: str) -> None:
    with pytest.raises(ToolKilled, match=r"exit code \d and no valid result"):
        do(package, program)


def test_an_answer_of_an_earlier_run_does_not_count(package: Path) -> None:
    do(package, "answer({'fine': 1})")
    with pytest.raises(ToolKilled):
        do(package, "pass")


def test_memory_is_limited_behind_each_wall(wall: Isolation, package: Path) -> None:
    started = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"toy/1\.0 needed more than 256 MB of memory"):
        do(package, "block = bytearray(400 << 20); time.sleep(60)", Settings(tool_memory_mb=256))
    assert time.monotonic() - started < 40


def test_a_file_that_grows_beyond_the_limit_is_refused(wall: Isolation, package: Path) -> None:
    program = "signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open(job / 'big', 'wb').write(bytes(2 << 20))"
    with pytest.raises(LimitExceeded, match="a file larger than 1 MB") as caught:
        do(package, program, Settings(tool_output_mb=1))
    assert "OAKMILL_TOOL_OUTPUT_MB=2" in caught.value.remedy


@pytest.mark.parametrize(
    "then", ["", "; answer({'fine': 1})", "; answer({'error': {'kind': 'engine', 'message': 'bad'}}, 1)"]
)
def test_a_write_that_stops_at_the_limit_is_called_so_whatever_the_tool_makes_of_it(
    wall: Isolation, package: Path, then: str
) -> None:
    """OAKMILL_TOOL_OUTPUT_MB came out as ToolKilled: Python ignores the limit's signal, and so does what it starts."""
    program = f"""
try:
    (job / 'big').write_bytes(bytes(2 << 20))
except OSError:
    if not {then!r}: raise
{then.removeprefix("; ")}"""
    with pytest.raises(LimitExceeded, match=r"toy/1\.0 needed a file larger than 1 MB") as caught:
        do(package, program, Settings(tool_output_mb=1))
    assert "OAKMILL_TOOL_OUTPUT_MB=2" in caught.value.remedy


@pytest.mark.parametrize(
    "program",
    [
        "print('[Errno 28] No space left on device'); sys.exit(1)",
        "answer({'error': {'kind': 'write', 'message': 'cut'}}, 1)",
    ],
)
def test_a_full_disk_is_no_crash(package: Path, program: str) -> None:
    """A disk that filled while RVC2 compiled left an empty blob, and the runner died of struct.error."""
    with pytest.raises(OutputError, match="could not write its result") as caught:
        do(package, program)
    assert "TMPDIR" in caught.value.remedy


def test_a_tool_that_is_killed_from_outside_in_mid_run_is_reported(wall: Isolation, package: Path) -> None:
    marker = f"victim-{wall.level}-{os.getpid()}"
    sleeper = "import time; print('started', flush=True); time.sleep(60)"
    program = f"os.execv(sys.executable, [sys.executable, '-c', {sleeper!r}, '{marker}'])"

    def kill(event: ToolEvent) -> None:
        (victim,) = living(marker)
        os.kill(victim, signal.SIGKILL)

    with pytest.raises(ToolKilled, match="SIGKILL"):
        do(package, program, watch=kill)


# The end of everything

MAIN = """
import json, sys
from pathlib import Path
from oakmill.settings import Settings
from oakmill.processes import sandbox
from oakmill.toolchains.environments import Environment
from oakmill.toolchains.door import run_runner
wall, folder, program = sys.argv[1:]
found = sandbox.Isolation(sandbox.Level.NONE, "") if wall == "none" else getattr(sandbox, "probe_" + wall)()
sandbox.probe = lambda: found
environment = Environment("toy/1.0", Path(sys.prefix), Path(sys.executable), None, "", "")
try:
    run_runner(environment, Path(folder, "package"), {"program": program}, Path(folder, "job"), settings=Settings())
except KeyboardInterrupt:
    sys.exit(77)
"""

FAMILY = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = [sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(60)", MARKER]
subprocess.Popen(sleeper)
subprocess.Popen(sleeper, start_new_session=True)
os.execv(sys.executable, sleeper)
"""


def begin_family(wall: Isolation, package: Path, marker: str) -> subprocess.Popen[bytes]:
    """Start an Oakmill of its own whose tool has a child and a child in another session, all deaf to SIGTERM."""
    program = FAMILY.replace("MARKER", repr(marker))
    ours = subprocess.Popen([sys.executable, "-c", MAIN, wall.level.value, str(package.parent), program])
    assert eventually(lambda: len([pid for pid in living(marker) if pid != ours.pid]) == 3)
    time.sleep(0.1)  # until they are deaf
    return ours


def test_ctrl_c_ends_the_tool_its_children_and_their_sessions(wall: Isolation, package: Path) -> None:
    marker = f"ctrl-c-{wall.level}-{os.getpid()}"
    ours = begin_family(wall, package, marker)
    ours.send_signal(signal.SIGINT)
    assert ours.wait(240) == 77
    assert living(marker) == []


def test_a_second_ctrl_c_does_not_keep_the_tool_alive(wall: Isolation, package: Path) -> None:
    marker = f"twice-{wall.level}-{os.getpid()}"
    ours = begin_family(wall, package, marker)
    ours.send_signal(signal.SIGINT)
    time.sleep(0.1)
    ours.send_signal(signal.SIGINT)
    assert ours.wait(240) != 0  # which number depends on how far it had come
    assert living(marker) == []


def test_kill_9_of_ours_ends_the_tool_and_behind_bubblewrap_its_whole_tree(wall: Isolation, package: Path) -> None:
    marker = f"kill-9-{wall.level}-{os.getpid()}"
    ours = begin_family(wall, package, marker)
    ours.kill()
    ours.wait()
    try:
        left = 0 if wall.level is Level.BUBBLEWRAP else 2
        assert eventually(lambda: len(living(marker)) == left, 2)
    finally:
        for pid in living(marker):
            os.kill(pid, signal.SIGKILL)


def test_two_runs_in_threads_that_outlive_them_do_not_disturb_each_other(tmp_path: Path) -> None:
    codes: dict[int, int] = {}

    def work(code: int) -> None:
        folder = tmp_path / str(code)
        folder.mkdir()
        codes[code] = run(python(f"raise SystemExit({code})"), cwd=folder, limits=ROOMY).returncode

    threads = [threading.Thread(target=work, args=(code,)) for code in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {3: 3, 4: 4}
