"""`python -m runner JOB_DIR`: does what JOB_DIR/request.json asks and answers with JOB_DIR/result.json.

Request (version 1), paths absolute or relative to JOB_DIR:

{"model": FILE, "opset": 16, "quantized": true, "shapes": {INPUT: [1, 64, 64, 3]},
 "samples": [{INPUT: FILE.npy}]}

Written are faithful.onnx, which quantizes where the model does; for a quantized one also float.onnx, which does not;
and outputs.npz with what LiteRT computes from the samples, as "OUTPUT/SAMPLE" by their places. The answer holds the
outputs' names and the seconds of each step, or "error" (kind "interpreter" or "conversion", message, operations) with
exit code 1.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .convert import ConversionError, convert
from .lite import InterpreterError, Lite


def main() -> int:
    """Serve the one request of the job folder; 0 when it was done."""
    os.chdir(sys.argv[1])
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    request = json.loads(Path("request.json").read_text())
    try:
        result = serve(request)
    except InterpreterError as error:
        result = {"error": {"kind": "interpreter", "message": str(error)}}
    except ConversionError as error:
        result = {"error": {"kind": "conversion", "message": str(error), "operations": error.operations}}
    Path("result.json").write_text(json.dumps(result))
    return 1 if "error" in result else 0


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Run the model in LiteRT, then convert it."""
    seconds = {}
    started = time.monotonic()
    lite = Lite(request["model"], request["shapes"])
    answers = [lite.run({name: np.load(file) for name, file in sample.items()}) for sample in request["samples"]]
    named = {f"{o}/{i}": values for i, run in enumerate(answers) for o, values in enumerate(run.values())}
    np.savez("outputs.npz", **named)
    seconds["interpreter"] = round(time.monotonic() - started, 3)
    for name, as_float in (("faithful", False), ("float", True))[: 1 + request["quantized"]]:
        started = time.monotonic()
        model = convert(request["model"], request["opset"], as_float=as_float)
        Path(f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
        seconds[name] = round(time.monotonic() - started, 3)
    return {"outputs": list(answers[0]) if answers else [], "seconds": seconds}


if __name__ == "__main__":
    sys.exit(main())
