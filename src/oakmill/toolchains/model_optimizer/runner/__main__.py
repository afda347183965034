"""`python -m runner JOB_DIR`: runs the Model Optimizer as JOB_DIR/request.json asks, answers in JOB_DIR/result.json.

Request (version 1): {"arguments": ["--input_model", FILE, "--output_dir", DIR, ...]}
The answer is {"seconds": 1.5}, or "error" (kind "refused", message) with exit code 1 when mo could not convert.

mo runs in this process, from an empty folder: its legacy frontend would import what lies in the current one.
"""

from __future__ import annotations

import json
import logging
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

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


def main() -> int:
    """Serve the one request of the job folder; 0 when it was done."""
    job = Path(sys.argv[1])
    request = json.loads((job / "request.json").read_text())
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    started = time.monotonic()
    status = run_mo(request["arguments"], job / "empty")
    result: dict[str, Any] = {"seconds": round(time.monotonic() - started, 3)}
    if status:
        message = "\n".join(complaints.texts) or f"mo ended with exit code {status}"
        result = {"error": {"kind": "refused", "message": message}}
    (job / "result.json").write_text(json.dumps(result))
    return 1 if status else 0


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


if __name__ == "__main__":
    sys.exit(main())
