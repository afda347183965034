"""`python -m runner JOB_DIR`: does what JOB_DIR/request.json asks and answers with JOB_DIR/result.json.

Request (version 1), paths relative to JOB_DIR:

{"model": FILE, "opset": 16, "inputs": [NAME, ...], "samples": [[FILE.npy, ...], ...]}

`inputs` names the tensors that forward takes, in its order; a sample has an array for each. Written are model.onnx,
with the shapes of the first sample, and outputs.npz with what PyTorch computes from the samples, as "OUTPUT/SAMPLE" by
their places. The answer holds the outputs' names and the seconds of each step, or "error" (kind "load", "run" or
"conversion", message) with exit code 1.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .export import Script, TorchError


def main() -> int:
    """Serve the one request of the job folder; 0 when it was done."""
    os.chdir(sys.argv[1])
    request = json.loads(Path("request.json").read_text())
    try:
        result = serve(request)
    except TorchError as error:
        result = {"error": {"kind": error.kind, "message": str(error)}}
    Path("result.json").write_text(json.dumps(result))
    return 1 if "error" in result else 0


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Run the module on the samples, then write it as ONNX."""
    started = time.monotonic()
    script = Script(request["model"])
    samples = [[np.load(file) for file in sample] for sample in request["samples"]]
    answers = [script.run(sample) for sample in samples]
    np.savez("outputs.npz", **{f"{o}/{i}": values for i, run in enumerate(answers) for o, values in enumerate(run)})
    ran = time.monotonic()
    outputs = [f"output{place}" for place in range(len(answers[0]))]
    script.export(samples[0], "model.onnx", request["opset"], request["inputs"], outputs)
    seconds = {"torch": round(ran - started, 3), "export": round(time.monotonic() - ran, 3)}
    return {"outputs": outputs, "seconds": seconds}


if __name__ == "__main__":
    sys.exit(main())
