"""The frame of every runner: reads the request, carries the task out, writes the answer.

`python -m runner JOB_DIR` runs in a toolchain's own interpreter, which finds this folder and the runner's package on
its path. The request is JOB_DIR/request.json: {"version": 1, "action": NAME, ...}, paths in it absolute or relative to
JOB_DIR, which is the current folder. The answer is JOB_DIR/result.json with exit code 0; or with exit code 1
{"error": {"kind": WORD, "message": TEXT, ...}}. Progress goes as lines of JSON to the descriptor OAKMILL_EVENTS_FD.

The standard library only, as of Python 3.8.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Tuple, Type  # noqa: UP035 - evaluated by Python 3.8

Task = Callable[[Dict[str, Any]], Dict[str, Any]]  # noqa: UP006


class Refused(Exception):
    """The request cannot be carried out: `kind` says why in one word, `details` stand beside it in the answer."""

    def __init__(self, kind: str, message: str, **details: Any) -> None:
        self.kind = kind
        self.details = details
        super().__init__(message)


def serve(tasks: Mapping[str, Task], refusals: Tuple[Type[Exception], ...] = ()) -> int:  # noqa: UP006
    """Serve the one request of the folder that the command line names; 0 when it was done.

    What the vendor's libraries raise when they cannot take a model are `refusals`: the kind "model", and the log has
    where. All else that is raised ends the process, and is for its caller to tell.
    """
    job = Path(sys.argv[1]).absolute()
    os.chdir(job)
    request = json.loads(Path("request.json").read_text())
    try:
        result = tasks[request["action"]](request)
    except Refused as refused:
        result = {"error": {"kind": refused.kind, "message": str(refused), **refused.details}}
    except refusals as error:
        traceback.print_exc()
        result = {"error": {"kind": "model", "message": str(error).strip() or type(error).__name__}}
    (job / "result.json").write_text(json.dumps(result))
    return 1 if "error" in result else 0


def report(done: int, total: int, what: str) -> None:
    """Tell the caller how far this is, on the descriptor it gave."""
    descriptor = os.environ.get("OAKMILL_EVENTS_FD")
    if descriptor:
        event = {"progress": {"done": done, "of": total, "what": what}}
        os.write(int(descriptor), json.dumps(event).encode() + b"\n")
