"""Exports checkpoints of Ultralytics to ONNX, and runs them in PyTorch.

export  {"model": FILE.pt, "size": [HEIGHT, WIDTH] or null, "opset": 16, "samples": 2, "seed": 0}

Without a size, it is the one of the training. Written are FILE.onnx, with what the exporter notes of names and task,
and samples.npz and outputs.npz with generated images and what PyTorch computes from them, as "PORT/SAMPLE" by their
places. The answer holds the outputs' names, the size, whether it is the training's, and whether the last step chooses
the best boxes. Kinds of refusal: load, task, size, conversion.

make  {"model": FILE.pt}

Writes a checkpoint of a tiny detector of two classes.
"""

from __future__ import annotations

import sys

from frame import serve

from .checkpoint import Checkpoint
from .tiny import make

TASKS = {
    "export": lambda request: Checkpoint(request["model"]).export(request),
    "make": lambda request: make(request["model"]),
}


def main() -> int:
    """Serve the request."""
    return serve(TASKS)


if __name__ == "__main__":
    sys.exit(main())
