"""The door between us and a vendor's tools: asks the runner in a toolchain's environment, and reads its answer."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from oakmill.errors import LimitExceeded, OutputError, ToolFailed, ToolKilled
from oakmill.processes import plain, sandbox
from oakmill.processes.events import Watcher, ignore
from oakmill.processes.log import new_file
from oakmill.processes.run import Finished, finish, run, start
from oakmill.processes.sandbox import Limits
from oakmill.settings import Settings
from oakmill.toolchains.environments import Environment

REQUEST = "request.json"
RESULT = "result.json"
FRAME = Path(__file__).parent.absolute() / "for-runners"
"""What all runners find on their path beside their own package."""

PLAIN_DISTUTILS = {"SETUPTOOLS_USE_DISTUTILS": "stdlib"}
"""Variables of mo and what is built on it, whose Pythons still have distutils: setuptools, which would load itself in
its place, takes half a second to do so."""

_RESULT_BYTES = 64 << 20
_FULL_BYTES = 1 << 20
_TOO_LARGE, _NO_SPACE = os.strerror(errno.EFBIG), os.strerror(errno.ENOSPC)

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
        ToolKilled: it ended by a signal, or without a result, or left links where files belong.
        LimitExceeded: it needed more than the settings allow.
        OutputError: the disk is full.
        IsolationMissing: the settings require a sandbox and none works here.
    """
    job, package = job.absolute(), package.absolute()
    _prepare(job, request)
    limits = Limits.of(settings)
    command = sandbox.command(
        [str(environment.python), "-s", "-m", "runner", str(job)],
        read=[environment.folder, *sandbox.interpreter_folders(environment.python), package, FRAME, *read],
        write=[job],
        env={**_environment(package, job), **(variables or {})},
        limits=limits,
        isolation=sandbox.choose(settings),
    )
    finished = run(command, cwd=job, limits=limits, watch=watch, name=environment.name)
    return _taken(finished, job, environment.name, limits)


def run_outside(
    environment: Environment,
    package: Path,
    request: Mapping[str, Any],
    job: Path,
    *,
    secret: str,
    variables: Mapping[str, str],
    limits: Limits,
    watch: Watcher = ignore,
) -> dict[str, Any]:
    """As `run_runner`, of a runner whose work is to speak to the network: there is no wall, and no variable of ours.

    It reads the line `secret` from its input, so that it stands in no file and on no command line.

    Raises: as `run_runner`.
    """
    job, package = job.absolute(), package.absolute()
    _prepare(job, request)
    command = sandbox.command(
        [str(environment.python), "-s", "-m", "runner", str(job)],
        read=[], write=[], env={**_environment(package, job), **variables}, limits=limits,
        isolation=sandbox.Isolation(sandbox.Level.NONE, "it speaks to the network"),
    )  # fmt: skip
    running = start(command, cwd=job, name=environment.name, takes_input=True)
    with suppress(BrokenPipeError):
        running.send(f"{secret}\n".encode())
    finished = finish(running, cwd=job, limits=limits, watch=watch, name=environment.name)
    return _taken(finished, job, environment.name, limits)


def _taken(finished: Finished, job: Path, name: str, limits: Limits) -> dict[str, Any]:
    """The answer of a run that has ended, once it is certain that what it left may be read."""
    _require_room(finished, job, name, limits)
    answer = _answer(finished, job / RESULT, name, limits)
    plain.require(job, name, log=finished.log_tail)
    return answer


def _prepare(job: Path, request: Mapping[str, Any]) -> None:
    with os.fdopen(new_file(job / REQUEST), "w") as file:
        json.dump({**request, "version": 1}, file)
    (job / RESULT).unlink(missing_ok=True)
    (job / plain.SCRATCH).mkdir(exist_ok=True)


def _require_room(finished: Finished, job: Path, name: str, limits: Limits) -> None:
    """Refuse a run that could not write all that it wanted to, whatever it says of it itself.

    Python ignores the limit's signal, and what it starts inherits that: a write stops short, and tools tell it in
    words of their own, or not at all. A file of exactly the limit's size is what is left of it.

    Raises:
        LimitExceeded: a file reached the limit.
        OutputError: the disk is full.
    """
    full = _TOO_LARGE in finished.log_tail
    if full or any(os.lstat(path).st_size == limits.output_mb << 20 for path in _files(job)):
        raise LimitExceeded(
            f"{name} needed a file larger than {limits.output_mb} MB, and could not write it.",
            remedy=f"Allow it more, for example OAKMILL_TOOL_OUTPUT_MB={2 * limits.output_mb}.",
            log=finished.log_tail,
        )
    if finished.returncode and (_NO_SPACE in finished.log_tail or shutil.disk_usage(job).free < _FULL_BYTES):
        raise _unwritten(name, "the disk is full.", finished)


def _unwritten(name: str, why: str, finished: Finished) -> OutputError:
    remedy = "Make room among the temporary files, or set TMPDIR to a folder with more."
    return OutputError(f"{name} could not write its result: {why}", remedy=remedy, log=finished.log_tail)


def _files(job: Path) -> Iterator[Path]:
    return (Path(folder, name) for folder, _, names in os.walk(job) for name in names)


def _environment(package: Path, job: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(job),
        "TMPDIR": str(job / plain.SCRATCH),
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"{package}:{FRAME}",
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
        if error.get("kind") == "write":
            raise _unwritten(name, message, finished)
        raise RunnerError(message, kind=str(error.get("kind", "")), details=details, log=finished.log_tail)
    if finished.returncode == 0 and result is not None:
        return result
    raise _lost(finished, name, limits)


def _lost(finished: Finished, name: str, limits: Limits) -> ToolFailed:
    """The error of a run that left no answer."""
    number = _signal(finished.returncode)
    if number is signal.SIGXFSZ:
        return LimitExceeded(
            f"{name} needed a file larger than {limits.output_mb} MB, and was ended.",
            remedy=f"Allow it more, for example OAKMILL_TOOL_OUTPUT_MB={2 * limits.output_mb}.",
            log=finished.log_tail,
        )
    if number is not None:
        message = f"{name} was ended by signal {number:d} ({number.name})."
        killed = ToolKilled(message, remedy=_REASONS.get(number, _CRASHED), log=finished.log_tail)
        killed.signal = number.name
        return killed
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
