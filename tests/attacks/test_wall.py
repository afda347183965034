"""A tool that a hostile model has taken over harms nobody: no process, no file's attributes, no uncounted memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oakmill.errors import LimitExceeded
from oakmill.processes.sandbox import Isolation
from tests.attacks.conftest import Attack

pytestmark = pytest.mark.heavy

CALL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
    return "done"
"""


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user, as the hub's own are."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_nothing_is_done_to_other_processes(
    wall: Isolation, attack: Attack, bystander: subprocess.Popen[bytes]
) -> None:
    """Behind Landlock a tool took the hub's right to open files by prlimit, and so ended it."""
    before = _state(bystander.pid), _state(os.getpid())
    program = """
for pid in PIDS:
    attempt(lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0)))
    attempt(lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
    attempt(lambda: os.sched_setaffinity(pid, {0}))
    attempt(lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))
    attempt(lambda: os.kill(pid, signal.SIGSTOP))
answer(done=1)
""".replace("PIDS", repr([bystander.pid, os.getpid()]))
    attack(program)
    assert (_state(bystander.pid), _state(os.getpid())) == before


def _state(pid: int) -> object:
    stopped = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    return (
        resource.prlimit(pid, resource.RLIMIT_NOFILE),
        os.getpriority(os.PRIO_PROCESS, pid),
        os.sched_getaffinity(pid),
        os.sched_getscheduler(pid),
        stopped,
    )


def test_what_belongs_to_files_outside_stays_as_it_was(wall: Isolation, attack: Attack, outside: Path) -> None:
    """Landlock guards a file's bytes alone: its mode, times and attributes could be changed."""
    files = [outside / "file", outside, outside.parent / "elsewhere"]
    files[2].write_text("not readable for it either")
    before = [_attributes(path) for path in files]
    program = """
for path in PATHS:
    attempt(lambda: os.chmod(path, 0))
    attempt(lambda: os.chown(path, 65534, 65534))
    attempt(lambda: os.utime(path, (1, 1)))
    attempt(lambda: os.setxattr(path, "user.mark", b"x"))
    attempt(lambda: os.truncate(path, 0))
answer(done=1)
""".replace("PATHS", repr([str(path) for path in files]))
    attack(program)
    assert [_attributes(path) for path in files] == before


def _attributes(path: Path) -> object:
    status = path.stat()
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_size, os.listxattr(path)


def test_memory_that_outlives_a_run_is_not_had(wall: Isolation, attack: Attack) -> None:
    """System V's shared memory and POSIX's queues stay when their makers have ended, and no limit counts them."""
    found = attack(
        CALL + "shmget, semget, msgget = 29, 64, 68\n"
        "answer(seen=[attempt(lambda: call(n, 0, 1 << 20, 0o1600)) for n in (shmget, semget, msgget)])"
    )
    assert found["seen"] == ["EPERM"] * 3


def test_shared_memory_is_its_own_and_bounded(wall: Isolation, attack: Attack) -> None:
    """The machine's /dev/shm was filled by a tool, and what it wrote there stayed."""
    if any("/dev/shm" in gap for gap in wall.gaps):
        pytest.skip("this machine gives no user namespaces")
    name = f"oakmill-attack-{os.getpid()}"
    found = attack(f"answer(written=attempt(lambda: Path('/dev/shm/{name}').write_bytes(bytes(1 << 20))))")
    assert found["written"] == repr(1 << 20)
    assert not Path("/dev/shm", name).exists()


def test_no_namespace_is_made_inside(wall: Isolation, attack: Attack) -> None:
    """A user namespace of its own opens much of the kernel to who is root in it."""
    found = attack(
        CALL + "answer(seen=[attempt(lambda: call(272, 0x10000000)), attempt(lambda: call(56, 0x10000011))])"
    )
    assert found["seen"] == ["EPERM", "EPERM"]


def test_no_process_outlives_a_run(wall: Isolation, attack: Attack, tmp_path: Path) -> None:
    """A child that left the session and lost its parent was out of reach of who ends what a run started."""
    mark = tmp_path / "job" / "alive"
    attack(f"""
if os.fork() == 0:
    try:
        os.setsid()
    except OSError:
        pass
    if os.fork() == 0:
        for number in range(400):
            Path({str(mark)!r}).write_text(str(number))
            time.sleep(0.05)
    os._exit(0)
os.wait()
while not Path({str(mark)!r}).exists():
    time.sleep(0.01)
answer(done=1)
""")
    seen = mark.read_text()
    time.sleep(0.3)
    assert mark.read_text() == seen


def test_a_swarm_of_processes_is_ended(wall: Isolation, attack: Attack) -> None:
    with pytest.raises(LimitExceeded, match="started more than 512 processes"):
        attack("""
for number in range(600):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
time.sleep(60)
""")


@pytest.mark.parametrize(
    "program",
    [
        "for number in range(1000): (job / str(number)).write_bytes(bytes(1 << 20)); time.sleep(0.002)",
        "for number in range(1000): (job / 'tmp' / str(number)).write_bytes(bytes(1 << 20)); time.sleep(0.002)",
    ],
)
def test_many_files_together_have_a_limit(wall: Isolation, attack: Attack, tmp_path: Path, program: str) -> None:
    """Each file was bounded, and their number was not."""
    with pytest.raises(LimitExceeded, match="wrote more than 50 MB") as caught:
        attack(f"{program}\ntime.sleep(60)", tool_total_output_mb=50)
    assert "OAKMILL_TOOL_TOTAL_OUTPUT_MB=100" in caught.value.remedy


def test_what_tools_do_among_their_own_files_still_works(wall: Isolation, attack: Attack) -> None:
    """Copying with mode and times, threads, pools of processes and sessions are ordinary; none may fail."""
    found = attack("""
import shutil, threading, multiprocessing
(job / "a").write_text("x")
shutil.copy2(job / "a", job / "b")
(job / "touched").touch()
os.chmod(job / "b", 0o700)
thread = threading.Thread(target=lambda: os.sched_setaffinity(threading.get_native_id(), os.sched_getaffinity(0)))
thread.start(); thread.join()
with multiprocessing.get_context("fork").Pool(2) as pool:
    squares = pool.map(abs, [-1, -2])
child = subprocess.run([sys.executable, "-c", "print(1)"], start_new_session=True, capture_output=True)
touched = (job / "touched").is_file()
answer(touched=touched, copied=(job / "b").read_text(), squares=squares, child=child.stdout.decode())
""")
    assert found == {"touched": True, "copied": "x", "squares": [1, 2], "child": "1\n"}
