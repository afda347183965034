"""`python -m runner JOB_DIR`: does what JOB_DIR/request.json asks and answers with JOB_DIR/result.json.

Requests (version 1), all paths absolute or relative to JOB_DIR:

infer  {"action": "infer", "model": FILE.xml, "inputs": [NAME], "outputs": [NAME],
        "samples": [{INPUT: FILE.npy}], "target": FILE.npz}                                  OpenVINO 2022.3.2
nncf   {"action": "nncf", "model": FILE.xml, "target": FILE.xml, "lessons": {INPUT: FILE.npy}, "teach": 256,
        "device": "NPU", "preset": "mixed", "ignored_names": [NAME], "ignored_types": [TYPE],
        "control": null or {"drop": 0.01, "seconds": 300}}                                   NNCF
pot    the same without "control", "device" VPU or ANY                                       POT 2022.3.2

An array of lessons is [samples, *the input's shape]; the first `teach` of them teach, the others control. The answer
tells what was done, or "error" (kind: "model", "names", "layers"; message) with exit code 1.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from .common import ProblemError

REFUSALS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)
"""What the vendors' libraries raise when they cannot take a model; the log has where."""


def main() -> int:
    """Serve the one request of the job folder; 0 when it was done."""
    os.chdir(sys.argv[1])
    request = json.loads(Path("request.json").read_text())
    try:
        result = answer(request)
    except ProblemError as problem:
        result = {"error": {"kind": problem.kind, "message": str(problem)}}
    except REFUSALS as error:
        traceback.print_exc()
        result = {"error": {"kind": "model", "message": str(error).strip() or type(error).__name__}}
    Path("result.json").write_text(json.dumps(result))
    return 1 if "error" in result else 0


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Carry the request out; each tool's packages are in its own environment alone."""
    if request["action"] == "infer":
        from .infer import infer

        return infer(request)
    if request["action"] == "nncf":
        from .by_nncf import quantize

        return quantize(request)
    from .by_pot import quantize as quantize_by_pot

    return quantize_by_pot(request)


if __name__ == "__main__":
    sys.exit(main())
