"""Compiles each number of SHAVEs in a child of its own, all forked from the same state: the same bytes every time.

OpenVINO's MyriadX compiler orders some data by where it lies in memory, as the four slices that a Focus layer joins.
What was compiled before in the same process, or beside it in another thread, changes that order and so 14 bytes of a
YOLOX blob; both blobs compute the same. A child forked before anything was compiled finds the heap as it was read.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import TracebackType

from .blob import compile_blob
from .openvino import Engine, Network

_PR_SET_PDEATHSIG = 1
BEAT_SECONDS = 5.0
"""After so long without a finished blob it is said that the compiler still works; most are done earlier."""
_CONTEXT = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Job:
    """What all children compile, and the folder for their blobs."""

    engine: Engine
    network: Network
    config: Mapping[str, str]
    folder: Path

    def target(self, shaves: int) -> Path:
        """Where the blob for so many SHAVEs is written."""
        return self.folder / f"{shaves}.blob"


class Compilers:
    """Children that wait, one for each number of SHAVEs; they end with the block, or with this process."""

    def __init__(self, job: Job, shaves: Iterable[int]) -> None:
        self._job = job
        self._children: dict[int, tuple[ForkProcess, Connection]] = {}
        parent = os.getpid()
        for number in shaves:
            ours, theirs = _CONTEXT.Pipe()
            child = _CONTEXT.Process(target=_wait_and_compile, args=(job, number, theirs, parent), daemon=True)
            child.start()
            theirs.close()
            self._children[number] = child, ours

    def __enter__(self) -> Compilers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child, _ in self._children.values():
            child.kill()
        for child, _ in self._children.values():
            child.join()

    def compile(self, shaves: int, beat: Callable[[float], None] | None = None) -> bytes:
        """The blob for so many SHAVEs, by its child; asked for once, from any thread.

        `beat` is called every `BEAT_SECONDS` until it is done, with the seconds by then.

        Raises:
            EngineError, WriteError, OSError: as the child met it.
        """
        child, pipe = self._children[shaves]
        pipe.send("compile")
        began = time.monotonic()
        while beat and not pipe.poll(BEAT_SECONDS):
            beat(time.monotonic() - began)
        try:
            error = pipe.recv()
        except EOFError:  # it ended by a signal: end as if the compiler had run here
            child.join()
            os.kill(os.getpid(), -(child.exitcode or -signal.SIGKILL))
            raise
        if error is not None:
            raise error
        path = self._job.target(shaves)
        data = path.read_bytes()
        path.unlink()
        return data


def _wait_and_compile(job: Job, shaves: int, pipe: Connection, parent: int) -> None:
    """A child: compile when asked, say what went wrong, end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that was set
        return
    pipe.recv()
    try:
        compile_blob(job.engine, job.network, shaves, job.config, job.target(shaves))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the blob was asked for
        pipe.send(error)
    else:
        pipe.send(None)
    # What follows would free OpenVINO's state and Python's, which the end of the process does quicker.
    os._exit(0)
