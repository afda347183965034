"""Runs inside a toolchain's sandbox as `runner.__main__`: the real runner, kept warm, forks for each job it is given.

It stands beside a copy of the toolchain's own runner, whose __main__ is called `single` here. A job is a folder with
the request that the real runner takes; a file named after it in `inbox` starts it, one in `outbox` ends it, with the
exit code of the real runner: negative for a signal. The variable OAKMILL_WARM names the folder of both.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import frame

SECONDS = 90
HEAVY = ("numpy", "onnx", "networkx", "openvino.runtime", "openvino.tools.mo.main")
"""Loaded before the first job, where they are there: what runners import only when they need it."""


def main() -> None:
    folder = Path(sys.argv[1])
    mine = Path(os.environ["OAKMILL_WARM"])  # noqa: TID251 - inside a sandbox there are no settings
    inbox, outbox = mine / "inbox", mine / "outbox"
    os.chdir(folder)
    single = importlib.import_module("runner.single")
    for name in HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    while not (folder / "stop").exists():
        waiting = sorted(inbox.iterdir())
        if not waiting:
            time.sleep(0.003)
            continue
        for note in waiting:
            job = Path(note.read_text())
            note.unlink()
            code = run(single, job)
            part = outbox / f".{note.name}"
            part.write_text(str(code))
            part.rename(outbox / note.name)
    (folder / "result.json").write_text(json.dumps({"served": True}))


def run(single: Any, job: Path) -> int:
    child = os.fork()
    if not child:
        serve(single, job)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        time.sleep(0.003)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGXCPU


def serve(single: Any, job: Path) -> None:
    code = 70
    try:
        log = os.open(job / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = ["runner", str(job)]
        os.environ.pop("OAKMILL_EVENTS_FD", None)  # noqa: TID251 - progress of single jobs is of no use
        code = frame.serve(single.TASKS, getattr(single, "REFUSALS", ()))
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - a child must never come back into the parent's loop
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
