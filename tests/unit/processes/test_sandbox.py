"""Behind each wall a hostile program finds no file, no network, no variable and no process of ours."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oakmill.processes import sandbox
from oakmill.processes.sandbox import Isolation, IsolationMissing, Level, Limits
from oakmill.processes.tree import ask
from oakmill.settings import Settings

pytestmark = pytest.mark.heavy

HOSTILE = """
import json, os, resource, socket, sys
asked = json.loads(sys.argv[1])
seen = {"environment": sorted(os.environ), "arguments": sys.argv[2:], "folder": os.getcwd()}
def attempt(name, action):
    try:
        seen[name] = repr(action())
    except OSError as error:
        seen[name] = None
for path in asked["read"]:
    attempt("read " + path, lambda: open(path, "rb").read(10) if os.path.isfile(path) else os.listdir(path))
for path in asked["write"]:
    attempt("write " + path, lambda: open(path, "w").write("x"))
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", asked["port"]), 2))
datagrams = lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
attempt("udp", lambda: datagrams().sendto(b"x", ("127.0.0.1", asked["port"])))
attempt("unix", lambda: socket.socket(socket.AF_UNIX).connect(asked["unix"]))
attempt("signal", lambda: os.kill(asked["pid"], 0))
attempt("their environment", lambda: open("/proc/%d/environ" % asked["pid"]).read())
attempt("pipe", socket.socketpair)
seen["limits"] = [resource.getrlimit(limit)[1] for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE)]
open("seen.json", "w").write(json.dumps(seen))
"""


@pytest.fixture(params=["bubblewrap", "landlock"])
def wall(request: pytest.FixtureRequest) -> Isolation:
    probe = {"bubblewrap": sandbox.probe_bubblewrap, "landlock": sandbox.probe_landlock}[request.param]
    found = probe()
    if found.level is Level.NONE:
        pytest.skip(found.detail)
    return found


@dataclass
class Place:
    """A job folder, an input it may read and a secret it may not."""

    job: Path
    given: Path
    secret: Path

    def run(self, wall: Isolation, program: str, *arguments: str) -> tuple[int, str]:
        python = Path(sys.executable)
        command = sandbox.command(
            [sys.executable, "-c", program, *arguments],
            read=[Path(sys.prefix), *sandbox.interpreter_folders(python), self.given],
            write=[self.job],
            env={"ONE": "1", "HOME": str(self.job)},
            limits=Limits(20, 500, 3),
            isolation=wall,
        )
        return ask(["/usr/bin/env", "-C", str(self.job), "SECRET=s", *command], 20)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for name in ("job", "given", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "given" / "model.onnx").write_bytes(b"model")
    (tmp_path / "secret" / "key").write_bytes(b"secret")
    return Place(tmp_path / "job", tmp_path / "given", tmp_path / "secret")


def test_a_hostile_program_reaches_nothing_but_its_job(wall: Isolation, place: Place) -> None:
    model, key, home = place.given / "model.onnx", place.secret / "key", Path.home()
    unix = str(place.secret / "socket")
    bystander = subprocess.Popen(["/bin/sleep", "60"], env={"KEY": "secret"})
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as local,
    ):
        datagrams.bind(server.getsockname())
        datagrams.setblocking(False)
        local.bind(unix)
        local.listen()
        asked: dict[str, Any] = {
            "read": [str(path) for path in (model, key, place.secret, "/etc/passwd", "/etc/shadow")],
            "write": [str(path) for path in (model, key, home / "x", "/x", "/usr/x", place.job / "x")],
            "port": server.getsockname()[1],
            "unix": unix,
            "pid": bystander.pid,
        }
        code, text = place.run(wall, HOSTILE, json.dumps(asked), "-a", "--")
        with pytest.raises(BlockingIOError):  # it may have talked to a loopback of its own
            datagrams.recv(1)
    bystander.kill()
    bystander.wait()
    assert code == 0, text
    seen = json.loads((place.job / "seen.json").read_text())
    reached = {name for name, what in seen.items() if what is not None} - {"udp", f"write {home / 'x'}"}
    assert reached == {
        *("environment", "arguments", "folder", "limits", "pipe"),
        f"read {model}",
        f"write {place.job / 'x'}",
    }
    assert set(seen["environment"]) - {"PWD", "LC_CTYPE"} == {"ONE", "HOME"}
    assert seen["arguments"] == ["-a", "--"]
    assert seen["folder"] == str(place.job)
    assert seen["limits"] == [0, 3 << 20]
    assert key.read_bytes() == b"secret"
    assert not (home / "x").exists()  # inside, there may be an empty folder of that name


def test_without_a_wall_the_same_program_reaches_the_secret(place: Place) -> None:
    """The probe above is able to succeed: it is the wall that stops it."""
    nothing = Isolation(Level.NONE, "")
    code, text = place.run(nothing, "import sys; print(open(sys.argv[1]).read())", str(place.secret / "key"))
    assert (code, text) == (0, "secret\n")


def test_a_file_that_grows_too_large_is_stopped(wall: Isolation, place: Place) -> None:
    code, text = place.run(wall, "open('big', 'wb').write(bytes(4 << 20))")
    assert code == 1
    assert "File too large" in text
    assert (place.job / "big").stat().st_size <= 3 << 20


def test_the_exit_code_comes_through(wall: Isolation, place: Place) -> None:
    assert place.run(wall, "raise SystemExit(42)")[0] == 42


@pytest.mark.skipif(os.getuid() != 0, reason="only root has powers to lose")
def test_root_has_no_powers_inside(wall: Isolation, place: Place) -> None:
    code, text = place.run(wall, "print(open('/proc/self/status').read())")
    assert code == 0, text
    assert "CapEff:\t0000000000000000" in text


def test_a_link_between_environment_and_interpreter_leads_to_its_folder(tmp_path: Path) -> None:
    python = tmp_path / "python3.9.1" / "bin" / "python3.9"
    python.parent.mkdir(parents=True)
    python.touch()
    (tmp_path / "python3.9").symlink_to("python3.9.1")
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(tmp_path / "python3.9" / "bin" / "python3.9")
    (environment / "pyvenv.cfg").write_text(f"home = {tmp_path / 'python3.9' / 'bin'}\nuv = 1\n")
    folders = sandbox.interpreter_folders(environment / "bin" / "python")
    assert folders == [tmp_path / "python3.9", tmp_path / "python3.9.1"]


def test_off_means_no_wall_and_says_why() -> None:
    found = sandbox.choose(Settings(isolation="off"))
    assert found.level is Level.NONE
    assert "OAKMILL_ISOLATION=off" in found.detail


def test_without_bubblewrap_the_next_wall_is_taken_and_the_remedy_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox.probe.cache_clear()
    try:
        found = sandbox.probe()
    finally:
        sandbox.probe.cache_clear()
    assert found.level is sandbox.probe_landlock().level
    assert "bubblewrap is not installed" in found.detail
    assert "apt-get install bubblewrap" in found.remedy


def test_a_bubblewrap_that_may_not_make_namespaces_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = sandbox.probe_bubblewrap()
    assert found.level is Level.NONE
    assert "No permissions to create new namespace" in found.detail
    assert "user namespaces" in found.remedy


def test_required_refuses_to_run_where_no_wall_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "probe", lambda: Isolation(Level.NONE, "none here", "install one"))
    with pytest.raises(IsolationMissing, match="none here") as caught:
        sandbox.choose(Settings(isolation="required"))
    assert caught.value.remedy == "install one"
    assert sandbox.choose(Settings(isolation="preferred")).level is Level.NONE
