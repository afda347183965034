"""Runs TorchScript modules in PyTorch, and writes them as ONNX.

export  {"model": FILE, "opset": 16, "inputs": [NAME, ...], "samples": [[FILE.npy, ...], ...]}

`inputs` names the tensors that forward takes, in its order; a sample has an array for each. Written are model.onnx,
with the shapes of the first sample, and outputs.npz with what PyTorch computes from the samples, as "OUTPUT/SAMPLE" by
their places. The answer holds the outputs' names and the seconds of each step. Kinds of refusal: load, run, conversion.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from frame import serve

from .export import Script


def export(request: dict[str, Any]) -> dict[str, Any]:
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


TASKS = {"export": export}

if __name__ == "__main__":
    sys.exit(serve(TASKS))
