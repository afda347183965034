"""Runs the Model Optimizer.

convert  {"arguments": ["--input_model", FILE, "--output_dir", DIR, ...]}
         answers {"seconds": 1.5}; refused when mo could not convert

mo runs in this process, from an empty folder: its legacy frontend would import what lies in the current one.
"""

from __future__ import annotations

import logging
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

from frame import Refused, serve

# What frames the one sentence that matters in a report of an internal error.
_FRAME = ("-----", "Unexpected exception", "Please contact", "Traceback ")
_REFERENCE = "For more information please refer to"


class Complaints(logging.Handler):
    """Keeps what mo logs as errors; its warnings are logged at that level too, and marked."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's sentence."""
        text = record.getMessage().partition(_REFERENCE)[0].strip()
        if text and not hasattr(record, "is_warning") and not text.startswith(_FRAME):
            self.texts.append(text)


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Run mo with the request's arguments."""
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    started = time.monotonic()
    status = run_mo(request["arguments"], Path("empty").absolute())
    if status:
        raise Refused("refused", "\n".join(complaints.texts) or f"mo ended with exit code {status}")
    return {"seconds": round(time.monotonic() - started, 3)}


def run_mo(arguments: list[str], empty: Path) -> int:
    """Run mo's program for ONNX with these arguments from a new, empty folder; its exit code."""
    sys.path[:] = [entry for entry in sys.path if entry not in ("", str(Path.cwd()))]
    empty.mkdir(mode=0o555)
    os.chdir(str(empty))
    sys.argv = ["mo", *arguments]
    try:
        runpy.run_module("openvino.tools.mo.main_onnx", run_name="__main__", alter_sys=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


TASKS = {"convert": convert}

if __name__ == "__main__":
    sys.exit(serve(TASKS))
