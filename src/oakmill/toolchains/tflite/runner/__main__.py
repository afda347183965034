"""Runs TFLite models in LiteRT, and writes them as ONNX; one custom operation of MediaPipe
and sparse constants are written out before.

convert  {"model": FILE, "opset": 16, "quantized": true, "shapes": {INPUT: [1, 64, 64, 3]},
          "samples": [{INPUT: FILE.npy}]}

Written are faithful.onnx, which quantizes where the model does; for a quantized one also float.onnx, which does not;
and outputs.npz with what LiteRT computes from the samples, as "OUTPUT/SAMPLE" by their places. The answer holds the
outputs' names and the seconds of each step. Kinds of refusal: interpreter, conversion (operations).
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from frame import serve

from . import convert as converting
from . import custom
from .lite import Lite


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Run the model in LiteRT, then convert it."""
    seconds = {}
    started = time.monotonic()
    file = custom.written_out(request["model"])
    lite = Lite(file, request["shapes"])
    answers = [lite.run({name: np.load(file) for name, file in sample.items()}) for sample in request["samples"]]
    named = {f"{o}/{i}": values for i, run in enumerate(answers) for o, values in enumerate(run.values())}
    np.savez("outputs.npz", **named)
    file = custom.densified(file)  # LiteRT reads sparse constants itself, so that the proof has its word on them
    seconds["interpreter"] = round(time.monotonic() - started, 3)
    for name, as_float in (("faithful", False), ("float", True))[: 1 + request["quantized"]]:
        started = time.monotonic()
        model = converting.convert(file, request["opset"], as_float=as_float)
        Path(f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
        seconds[name] = round(time.monotonic() - started, 3)
    return {"outputs": list(answers[0]) if answers else [], "seconds": seconds}


TASKS = {"convert": convert}

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    sys.exit(serve(TASKS))
