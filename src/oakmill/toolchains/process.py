"""Runs a vendor's tool to its end: live log and progress, limits kept, no process left behind."""

from __future__ import annotations

import json
import os
import selectors
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oakmill.errors import LimitExceeded, ToolchainBroken, ToolFailed, ToolKilled
from oakmill.settings import Settings
from oakmill.toolchains import sandbox
from oakmill.toolchains.base import ToolEvent, Watcher, ignore
from oakmill.toolchains.log import Lines, Log, new_file
from oakmill.toolchains.sandbox import EVENTS_FD, Limits
from oakmill.toolchains.tree import Tree

if TYPE_CHECKING:  # environments are made with run(), below
    from oakmill.toolchains.environments import Environment

__all__ = ["Finished", "Limits", "RunnerError", "run", "run_runner"]

LOG = "log.txt"
REQUEST = "request.json"
RESULT = "result.json"

_CHUNK = 1 << 16
_LOG_MB = 64
_RESULT_BYTES = 64 << 20
_FIRST_LOOK, _LONGEST_LOOK = 0.025, 0.2

_CRASHED = (
    "The tool crashed on this model. The end of its log may name the layer; "
    "a simpler model or another version of the tool may pass."
)
_REASONS = {
    signal.SIGKILL: "The kernel does this when the machine runs out of memory; or somebody ended it. "
    "Free some memory and try again.",
    signal.SIGTERM: "Somebody, or the machine's shutdown, ended it. Try again.",
    signal.SIGILL: "This processor lacks an instruction that the tool uses.",
    signal.SIGBUS: "The disk may be full. " + _CRASHED,
    signal.SIGSYS: "The tool did something that the sandbox forbids.",
}


class RunnerError(ToolFailed):
    """The runner says why it could not do what it was asked: a `kind` to act on, and `details`."""

    def __init__(self, message: str, *, kind: str, details: Mapping[str, Any], log: str) -> None:
        super().__init__(message, log=log)
        self.kind = kind
        self.details = dict(details)


@dataclass(frozen=True)
class Finished:
    """A run that came to its own end.

    `returncode` is negative for a signal; `log_tail` is the end of its output, 64 kB at most; `peak_mb` the
    most memory that it was seen to hold; `seconds` its wall-clock time.
    """

    returncode: int
    log_tail: str
    peak_mb: float
    seconds: float


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    limits: Limits,
    watch: Watcher = ignore,
    name: str = "the tool",
) -> Finished:
    """Run `command` to its end; its output goes to `cwd`/log.txt and, line by line, to `watch`.

    The command finds in the variable OAKMILL_EVENTS_FD the number of a descriptor for JSON lines such as
    `{"progress": {"done": 3, "of": 16, "what": "4 SHAVEs"}}`. However this function ends, by return, Ctrl-C
    or an error that `watch` raises, all processes that the command started are ended before.

    Call it from the main thread, or from one that lives longer than the run: a sandboxed tool is killed by
    the kernel when the *thread* that started it ends.

    Raises:
        LimitExceeded: it needed more time or memory than `limits` allow.
        ToolchainBroken: it cannot be started.
        OutputError: its log cannot be written.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        log = stack.enter_context(Log(cwd / LOG, min(limits.output_mb, _LOG_MB) << 20, watch))
        events, sending = os.pipe()
        stack.callback(os.close, events)
        try:
            process = _start(command, cwd, sending, name)
        finally:
            os.close(sending)
        tree = Tree(process.pid)
        stack.callback(process.wait)
        stack.callback(tree.stop)  # callbacks run last first
        assert process.stdout is not None
        stack.enter_context(process.stdout)
        guard = _Guard(tree, limits, name, log)
        streams = {process.stdout.fileno(): log.feed, events: Lines(lambda line: _tell(line, watch)).feed}
        _follow(process.pid, streams, guard)
    return Finished(process.returncode, log.tail(), tree.peak_mb, time.monotonic() - started)


def _start(command: Sequence[str], cwd: Path, sending: int, name: str) -> subprocess.Popen[bytes]:
    """Start the command in a session of its own."""
    try:
        return subprocess.Popen(
            list(command),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(sending,),
            start_new_session=True,
            bufsize=0,
            # A command without a sandbox, such as uv, needs the user's own variables: proxies, certificates.
            env={**os.environ, EVENTS_FD: str(sending)},  # noqa: TID251
        )
    except OSError as error:
        raise ToolchainBroken(f"{name} does not start: {command[0]}: {error.strerror}") from None


@dataclass
class _Guard:
    """Keeps the limits of one run."""

    tree: Tree
    limits: Limits
    name: str
    log: Log

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.limits.seconds

    def check(self) -> None:
        """Measure, and end the run by LimitExceeded if it is beyond its limits."""
        memory, seconds = self.limits.memory_mb, self.limits.seconds
        if self.tree.exceeds(memory):
            self.tree.stop(grace=0)
            self._refuse(f"needed more than {memory} MB of memory", f"OAKMILL_TOOL_MEMORY_MB={2 * memory}")
        if time.monotonic() > self._deadline:
            self._refuse(f"was not done after {seconds:g} s", f"OAKMILL_TOOL_SECONDS={2 * seconds:g}")

    def _refuse(self, what: str, more: str) -> None:
        raise LimitExceeded(
            f"{self.name} {what}, and was ended.",
            remedy=f"Allow it more, for example {more}, if the machine has it.",
            log=self.log.tail(),
        )


def _follow(pid: int, streams: Mapping[int, Callable[[bytes], None]], guard: _Guard) -> None:
    """Carry what the process writes to its readers until it ends, and keep its limits meanwhile."""
    pause = _FIRST_LOOK
    next_look = time.monotonic() + pause
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        ended = os.pidfd_open(pid)
        stack.callback(os.close, ended)
        selector.register(ended, selectors.EVENT_READ)
        for stream in streams:
            os.set_blocking(stream, False)
            selector.register(stream, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select(max(0.0, next_look - time.monotonic()))}
            for stream in ready & streams.keys():
                if not _carry(stream, streams[stream]):
                    selector.unregister(stream)
            if ended in ready:
                break
            if time.monotonic() >= next_look:
                guard.check()
                pause = min(2 * pause, _LONGEST_LOOK)
                next_look = time.monotonic() + pause
    for stream, take in streams.items():
        _drain(stream, take)


def _carry(stream: int, take: Callable[[bytes], None]) -> bool:
    """Hand on one piece; False when there is none and will be none."""
    try:
        piece = os.read(stream, _CHUNK)
    except BlockingIOError:
        return True
    take(piece)
    return bool(piece)


def _drain(stream: int, take: Callable[[bytes], None]) -> None:
    """Hand on what a pipe still holds, and its end, without waiting for what a leftover process adds."""
    for _ in range(1 + (1 << 20) // _CHUNK):  # a pipe holds 1 MB at most
        try:
            piece = os.read(stream, _CHUNK)
        except BlockingIOError:
            break
        if not piece:
            break
        take(piece)
    take(b"")


def _tell(line: str, watch: Watcher) -> None:
    """Pass on a progress event; whatever else a tool may write there is not for us."""
    try:
        progress = json.loads(line)["progress"]
        event = ToolEvent(
            done=int(progress["done"]), total=int(progress["of"]), what=str(progress.get("what", ""))[:200]
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return
    watch(event)


def run_runner(
    environment: Environment,
    package: Path,
    request: Mapping[str, Any],
    job: Path,
    *,
    read: Sequence[Path] = (),
    variables: Mapping[str, str] | None = None,
    watch: Watcher = ignore,
    settings: Settings,
) -> dict[str, Any]:
    """Ask a toolchain's runner, the package `runner` in the folder `package`, and return its result.

    The existing folder `job` gets request.json ("version": 1 is added), is all that the runner may write, and
    holds its result.json afterwards; it may read its environment, `package` and `read`. Threads: see `run`.

    Raises:
        RunnerError: the runner says what went wrong.
        ToolKilled: it ended by a signal, or without a result.
        LimitExceeded: it needed more than the settings allow.
        IsolationMissing: the settings require a sandbox and none works here.
    """
    job, package = job.absolute(), package.absolute()
    with os.fdopen(new_file(job / REQUEST), "w") as file:
        json.dump({**request, "version": 1}, file)
    (job / RESULT).unlink(missing_ok=True)
    (job / "tmp").mkdir(exist_ok=True)
    limits = Limits.of(settings)
    command = sandbox.command(
        [str(environment.python), "-s", "-m", "runner", str(job)],
        read=[environment.folder, *sandbox.interpreter_folders(environment.python), package, *read],
        write=[job],
        env={**_environment(package, job), **(variables or {})},
        limits=limits,
        isolation=sandbox.choose(settings),
    )
    finished = run(command, cwd=job, limits=limits, watch=watch, name=environment.name)
    return _answer(finished, job / RESULT, environment.name, limits)


def _environment(package: Path, job: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(job),
        "TMPDIR": str(job / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(package),
        "PYTHONSAFEPATH": "1",  # the job folder holds no modules; known from Python 3.11 on
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
        "OPENBLAS_NUM_THREADS": "1",  # numpy's idle threads spin, and take time from the tool's own
    }


def _answer(finished: Finished, path: Path, name: str, limits: Limits) -> dict[str, Any]:
    """The result of a run, or the error that it stands for."""
    result = _read_result(path)
    error = result.get("error") if result else None
    if isinstance(error, dict):
        details = {key: value for key, value in error.items() if key not in ("kind", "message")}
        message = str(error.get("message") or f"{name} failed.")
        raise RunnerError(message, kind=str(error.get("kind", "")), details=details, log=finished.log_tail)
    if finished.returncode == 0 and result is not None:
        return result
    raise _lost(finished, name, limits)


def _lost(finished: Finished, name: str, limits: Limits) -> ToolFailed:
    """The error of a run that left no answer."""
    number = _signal(finished.returncode)
    if number is signal.SIGXFSZ:
        return LimitExceeded(
            f"{name} wrote a file of more than {limits.output_mb} MB, and was ended.",
            remedy=f"Allow it more, for example OAKMILL_TOOL_OUTPUT_MB={2 * limits.output_mb}.",
            log=finished.log_tail,
        )
    if number is not None:
        message = f"{name} was ended by signal {number:d} ({number.name})."
        return ToolKilled(message, remedy=_REASONS.get(number, _CRASHED), log=finished.log_tail)
    message = f"{name} ended with exit code {finished.returncode} and no valid result."
    return ToolKilled(message, remedy="Its log says more.", log=finished.log_tail)


def _signal(returncode: int) -> signal.Signals | None:
    """The signal that ended a process, also where a process above it reports it as 128 + signal."""
    number = -returncode if returncode < 0 else returncode - 128
    return signal.Signals(number) if number in signal.valid_signals() and number < signal.SIGRTMIN else None


def _read_result(path: Path) -> dict[str, Any] | None:
    """The runner's result; None unless it is a plain file of sane size that holds a JSON object."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_size > _RESULT_BYTES:
                return None
            result = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return result if isinstance(result, dict) else None
