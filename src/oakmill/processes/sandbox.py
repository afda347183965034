"""Walls around a vendor's tool: bubblewrap where it works, Landlock where not, resource limits always.

Inside, files keep their real names, so that a log or a request needs no translation.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import oakmill
from oakmill.errors import ToolchainMissing
from oakmill.processes import landlock, tree
from oakmill.processes.calls import filter_program
from oakmill.processes.running import EVENTS_FD
from oakmill.settings import Settings

LAUNCH = (sys.executable, "-I", "-S", landlock.__file__)
"""What the commands made here begin with; a zygote does itself what comes next."""
_PROBE_SECONDS = 10
_OPEN_FILES = 4096
_SCRATCH_BYTES = 1 << 30
_SCOPED_SIGNALS = 6
"""The version of Landlock that keeps signals in."""

_SYSTEM_FOLDERS = tuple(map(Path, ("/bin", "/sbin", "/lib", "/lib32", "/lib64")))
_SYSTEM_FILES = tuple(map(Path, ("/etc/ld.so.cache", "/etc/alternatives", "/sys/devices/system/cpu")))
_DEVICES = tuple(Path("/dev", name) for name in ("null", "zero", "full", "random", "urandom", "shm"))

_NAMESPACES = ("user", "pid", "net", "ipc", "uts", "cgroup-try")
_BUBBLEWRAP = (
    *(f"--unshare-{namespace}" for namespace in _NAMESPACES),
    *("--uid", "65534", "--gid", "65534", "--cap-drop", "ALL", "--hostname", "sandbox"),
    *("--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev"),
)
_SCRATCH_FOLDERS = ("/dev/shm", "/tmp")

APPARMOR_REMEDY = """This system's AppArmor keeps bubblewrap from working. Allow it, as root, with the file
/etc/apparmor.d/bwrap:

    abi <abi/4.0>,
    include <tunables/global>
    profile bwrap /usr/bin/bwrap flags=(unconfined) {
      userns,
      include if exists <local/bwrap>
    }

and then: apparmor_parser -r /etc/apparmor.d/bwrap"""


class IsolationMissing(ToolchainMissing):
    """Vendor tools are to run in a sandbox, and none works here."""


class Level(StrEnum):
    """How a tool is kept apart."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    NONE = "none"


@dataclass(frozen=True)
class Limits:
    """What a run may use: wall-clock time, memory of all its processes, size of each file that it writes and of all."""

    seconds: float
    memory_mb: int
    output_mb: int
    total_mb: int = 1 << 14
    processes: int = 512

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the settings name."""
        return cls(
            settings.tool_seconds, settings.tool_memory_mb, settings.tool_output_mb, settings.tool_total_output_mb
        )


@dataclass(frozen=True)
class Isolation:
    """A wall that was seen to work here, or why there is none and what would change that.

    `bubblewrap` is the command, with the options that this version of it takes; `gaps` is what a tool could still do.
    """

    level: Level
    detail: str
    remedy: str = ""
    bubblewrap: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


def choose(settings: Settings) -> Isolation:
    """The wall that a tool is to run behind.

    Raises:
        IsolationMissing: the settings require one and none works here.
    """
    if settings.isolation == "off":
        return Isolation(Level.NONE, "switched off by OAKMILL_ISOLATION=off", "Unset OAKMILL_ISOLATION.")
    found = probe()
    if found.level is Level.NONE and settings.isolation == "required":
        raise IsolationMissing(
            f"OAKMILL_ISOLATION=required, but no sandbox works here: {found.detail}", remedy=found.remedy
        )
    return found


_INSIDE: list[Isolation] = []
"""The wall that this process itself is behind; bubblewrap cannot mount in there."""


def go_inside(wall: Isolation) -> None:
    """Let tools have a Landlock of their own within the one that this process has put around itself."""
    _INSIDE.append(replace(wall, detail=f"{wall.detail}, within that of the process that converts"))
    probe.cache_clear()


@lru_cache(maxsize=1)
def probe() -> Isolation:
    """The strongest wall that works here, found by running a program behind it; asked once per process."""
    if _INSIDE:
        return _INSIDE[0]
    strongest = probe_bubblewrap()
    if strongest.level is Level.BUBBLEWRAP:
        return replace(strongest, gaps=(*strongest.gaps, *_gaps_of_own_processes()))
    second = probe_landlock()
    return replace(second, detail=f"{second.detail}; {strongest.detail}", remedy=strongest.remedy)


def probe_bubblewrap() -> Isolation:
    """Try bubblewrap; level NONE, with the reason, where it does not work."""
    program = shutil.which("bwrap")
    if program is None:
        return Isolation(
            Level.NONE,
            "bubblewrap is not installed",
            "Install the package bubblewrap: apt-get install bubblewrap, or dnf install bubblewrap.",
        )
    answer = ""
    for options in (_bubblewrap(strict=True), _bubblewrap(strict=False)):
        wall = Isolation(
            Level.BUBBLEWRAP,
            "own file tree, processes and users; no network; few system calls",
            bubblewrap=(program, *options),
            gaps=_gaps_of_calls(),
        )
        code, answer = _try(wall)
        if code == 0:
            return wall
    reason = f"bubblewrap does not work ({_last_line(answer)})"
    return Isolation(Level.NONE, reason, _bubblewrap_remedy(answer))


def _bubblewrap(*, strict: bool) -> tuple[str, ...]:
    """All options but the files; versions before 0.8 do not know the strict ones."""
    users = ("--disable-userns",) if strict else ()
    size = ("--size", str(_SCRATCH_BYTES)) if strict else ()
    scratch = [word for folder in _SCRATCH_FOLDERS for word in (*size, "--tmpfs", folder)]
    return (*_BUBBLEWRAP, *users, *scratch)


def _bubblewrap_remedy(answer: str) -> str:
    restricted = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if restricted.is_file() and restricted.read_text().strip() == "1":
        return APPARMOR_REMEDY
    if "namespace" in answer:
        return (
            "Inside a container its own walls forbid it, which is fine: the container is the outer wall. On a "
            "plain system allow user namespaces (sysctl user.max_user_namespaces, "
            "kernel.unprivileged_userns_clone)."
        )
    return "Try it by hand: bwrap --unshare-all --ro-bind / / true"


def probe_landlock() -> Isolation:
    """Try Landlock; level NONE, with the reason, where it does not work."""
    version = landlock.version()
    if version < 1:
        return Isolation(Level.NONE, "this kernel has no Landlock; Linux has it from 5.13 on")
    wall = Isolation(Level.LANDLOCK, f"Landlock version {version}: only named files; no sockets; few system calls")
    code, answer = _try(wall)
    if code == 0:
        return replace(wall, gaps=(*_gaps_of_landlock(version), *_gaps_of_calls()))
    return Isolation(Level.NONE, f"Landlock does not work ({_last_line(answer)})")


def _gaps_of_calls() -> tuple[str, ...]:
    if filter_program():
        return ()
    return ("System calls are not filtered: the filter is for x86-64 processors.",)


def _gaps_of_own_processes() -> tuple[str, ...]:
    """What bubblewrap leaves open: it is put around programs, and what reads models in a hub is a process of ours."""
    if landlock.version():
        return ()
    return ("The hub's own processes that read models have no wall: Linux has Landlock from 5.13 on.",)


def _gaps_of_landlock(version: int) -> Iterator[str]:
    """What Landlock alone leaves to a tool on this machine."""
    if version < _SCOPED_SIGNALS:
        yield "Signals reach other processes of the same user: Linux keeps them in from 6.12 on."
    mounted = ("/bin/grep", "-q", "^tmpfs /dev/shm .*size=1024k", "/proc/self/mounts")
    if tree.ask([*LAUNCH, "own:1048576", "--", *mounted], _PROBE_SECONDS)[0]:
        yield "/dev/shm is shared with all, and the number of processes is measured only: no user namespaces here."


def _try(wall: Isolation) -> tuple[int, str]:
    program = shutil.which("true") or "/bin/true"
    limits = Limits(_PROBE_SECONDS, 64, 1)
    argv = command([program], read=[], write=[], env={}, limits=limits, isolation=wall)
    return tree.ask(argv, _PROBE_SECONDS)


def _last_line(answer: str) -> str:
    return (answer.strip().splitlines() or ["it ended without a word"])[-1]


def command(
    argv: Sequence[str],
    *,
    read: Sequence[Path],
    write: Sequence[Path],
    env: Mapping[str, str],
    limits: Limits,
    isolation: Isolation,
) -> list[str]:
    """The command that runs `argv` behind the wall, with only `env` as its environment.

    It may read (and execute) the system's programs and libraries and `read`, and write `write`; all of these
    must exist, and `argv[0]` must be a path. It ends with the thread that starts it: the kernel's
    parent-death signal follows the thread, not the process, so start it from one that outlives it.
    """
    read, write = [path.absolute() for path in read], [path.absolute() for path in write]
    words = [f"env:{name}={value}" for name, value in env.items()] + [f"keep:{EVENTS_FD}"]
    words += ["limit:CORE=0", f"limit:NOFILE={_OPEN_FILES}", f"limit:FSIZE={limits.output_mb << 20}"]
    calls = filter_program() if isolation.level is not Level.NONE else None
    words += [f"calls:{calls.hex()}"] if calls else []
    if isolation.level is Level.BUBBLEWRAP:
        filtered = ("--seccomp", landlock.CALLS) if calls else ()
        argv = [*isolation.bubblewrap, *filtered, *_binds(read, write), "--", *argv]
    else:
        words.append("orphan:kill")
    if isolation.level is Level.LANDLOCK:
        words += ["wall:landlock", f"own:{_SCRATCH_BYTES}", *_rules(read, write)]
    return [*LAUNCH, *words, "--", *argv]


def leashed(argv: Sequence[str], *, own_memory: bool = False) -> list[str]:
    """The command that runs our own `argv` without a wall, in our environment, and ends when we do, even by kill -9.

    With `own_memory` it shares no /dev/shm with others, where the kernel allows it.
    """
    own = [f"own:{_SCRATCH_BYTES}"] if own_memory else []
    return [*LAUNCH, *own, "orphan:kill", "keep:*", "--", *argv]


def _binds(read: Sequence[Path], write: Sequence[Path]) -> list[str]:
    """Bubblewrap's words for the file tree; what comes later lies on top."""
    words = ["--ro-bind", "/usr", "/usr"]
    for folder in _SYSTEM_FOLDERS:
        if folder.is_symlink():
            words += ["--symlink", str(folder.readlink()), str(folder)]
        else:
            words += ["--ro-bind-try", str(folder), str(folder)]
    for path in _SYSTEM_FILES:
        words += ["--ro-bind-try", str(path), str(path)]
    for path in sorted(read):  # a folder before what lies in it
        words += ["--ro-bind", str(path), str(path)]
    for path in sorted(write):
        words += ["--bind", str(path), str(path)]
    return [*words, "--remount-ro", "/"]


def left_open(read: Sequence[Path], write: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """What Landlock leaves open to be read, and to be written: these, and what of the system each program needs."""
    system = (Path("/usr"), Path("/proc"), *_SYSTEM_FOLDERS, *_SYSTEM_FILES)
    readable = [path for path in system if path.exists()] + list(read)
    return readable, [path for path in _DEVICES if path.exists()] + list(write)


def _rules(read: Sequence[Path], write: Sequence[Path]) -> list[str]:
    """The launcher's words for what Landlock leaves open."""
    readable, writable = left_open(read, write)
    return [f"read:{path}" for path in readable] + [f"write:{path}" for path in writable]


def own_code() -> list[Path]:
    """What this interpreter runs: its environment, our code, and where the interpreter lives."""
    return [Path(sys.prefix), Path(oakmill.__file__).parents[1], *interpreter_folders(Path(sys.executable))]


def interpreter_folders(python: Path) -> list[Path]:
    """The folders that a virtual environment's interpreter lives in: a link in the environment points there.

    Both the name that the environment recorded and the real place are given, for links may lie between them.
    """
    folders = {python.resolve().parent.parent}
    config = python.parent.parent / "pyvenv.cfg"
    if config.is_file():
        lines = (line.partition("=") for line in config.read_text().splitlines())
        folders |= {Path(value.strip()).parent for key, _, value in lines if key.strip() == "home"}
    return sorted(folder for folder in folders if not folder.is_relative_to("/usr") and folder != Path("/"))
