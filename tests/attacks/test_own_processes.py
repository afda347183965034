"""The process that reads a hub's models, taken over by one of them: it had no wall, and was the hub's own user.

Whoever found a hole in what reads models or images had the hub's secret, its database, and all teams' files.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oakmill.jobs.supervise import Child, Children
from oakmill.jobs.workspace import FOLDERS
from oakmill.processes import landlock
from oakmill.processes.enclosure import ONE_THREAD
from oakmill.settings import Settings, current
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain
from tests import fakes
from tests.tools import installed

pytestmark = pytest.mark.skipif(landlock.version() < 1, reason="this kernel has no Landlock")

ENCLOSED = """
import errno, json, os, resource, signal, socket, sys
from pathlib import Path
from oakmill.processes.enclosure import enclose
from oakmill.settings import Settings
hub, job, parent, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
assert enclose([], [job], Settings())
def attempt(action):
    try:
        return repr(action())
    except OSError as error:
        return errno.errorcode[error.errno]
print(json.dumps({
    "the hub's secret": attempt((hub / "secret").read_bytes),
    "the hub's database": attempt(lambda: os.open(hub / "hub.sqlite", os.O_RDWR)),
    "another job": attempt(lambda: list((hub / "work" / "other").iterdir())),
    "a link to the secret": attempt(lambda: os.link(hub / "secret", job / "mine")),
    "a file beside": attempt(lambda: (hub / "new").write_text("x")),
    "a mode outside": attempt(lambda: os.chmod(hub / "secret", 0o777)),
    "its parent": attempt(lambda: os.kill(parent, signal.SIGTERM)),
    "its parent's limits": attempt(lambda: resource.prlimit(parent, resource.RLIMIT_CPU, (1, 1))),
    "its parent's memory": attempt(Path(f"/proc/{parent}/mem").read_bytes),
    "the network": attempt(lambda: socket.create_connection(("127.0.0.1", port))),
    "a user namespace": attempt(lambda: os.unshare(os.CLONE_NEWUSER) if hasattr(os, "unshare") else os.kill(parent, 9)),
    "its own folder": attempt(lambda: (job / "result").write_text("done")),
    "what it starts": os.popen(f"cat {hub / 'secret'} 2>&1").read().strip()[-17:],
}))
"""


def test_what_reads_models_reaches_nothing_of_the_hub(tmp_path: Path) -> None:
    hub, job = tmp_path / "hub", tmp_path / "hub" / "work" / "mine"
    for folder in (job, hub / "work" / "other"):
        folder.mkdir(parents=True)
    for name in ("secret", "hub.sqlite"):
        (hub / name).write_text("theirs")
        (hub / name).chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = _enclosed(hub, job, os.getpid(), listening.getsockname()[1])
    assert found.pop("its own folder") == "4" and (job / "result").read_text() == "done"
    assert found.pop("what it starts") == "Permission denied"
    assert found.pop("a mode outside") == "None" and (hub / "secret").stat().st_mode & 0o777 == 0o600
    assert set(found.values()) <= {"EACCES", "EPERM", "EXDEV"}, found
    assert not (job / "mine").exists()


def _enclosed(*arguments: object) -> dict[str, Any]:
    done = subprocess.run(  # noqa: TID251 - it is no tool
        [sys.executable, "-c", ENCLOSED, *map(str, arguments)],
        env={**os.environ, **ONE_THREAD},  # noqa: TID251
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_a_job_is_done_behind_the_wall(tmp_path: Path) -> None:
    """What the kernel says of the process that runs a real job: no new powers, few system calls, none of root's."""
    installed(Rvc2Toolchain(current()))
    home, folder = tmp_path / "home", tmp_path / "home" / "hub" / "work" / "job" / "1"
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    (home / "toolchains").symlink_to(current().toolchains, target_is_directory=True)
    model = fakes.model(folder / "source" / "model.onnx")
    settings = Settings(home=home, cache_folder=home / "hub" / "cache" / "team")
    spec = {"platform": "rvc2", "number_of_shaves": 1, "blob": True}
    request = {"kind": "convert", "folder": str(folder), "model": str(model), "platform": "rvc2", "spec": spec}
    seen: dict[str, str] = {}
    children = Children()
    child = children.start()
    try:
        child.send({**request, "settings": settings.model_dump(mode="json")})
        answer = child.follow(lambda event: seen.update(_status(child)), print, lambda: None)
    finally:
        child.stop()
        children.close()
    assert "result" in answer, answer
    assert seen["NoNewPrivs"] == "1" and seen["Seccomp"] == "2"
    assert int(seen["CapEff"], 16) == 0 and int(seen["CapBnd"], 16) == 0


def _status(child: Child) -> dict[str, str]:
    lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
