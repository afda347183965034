"""Learns by aimet-onnx how each layer's weights are best rounded to 8 bits, one layer after the other.

improve  {"model": FILE.onnx, "samples": [{INPUT: FILE.npy}], "method": "adaround" or "seqmse", "steps": 1000,
          "layers": null or [WEIGHT], "seconds": null or 1800, "seed": 0}

Weights are known by their names in the graph. Layers that `layers` does not name stay as they are; after `seconds` no
other one is begun. Written is weights.npz: of each weight that was learned the values that 8 bits are to hold, called
PLACE/0. The answer names them in that order, says whether the time was enough, and how long it took. Kind of refusal:
model.
"""

from __future__ import annotations

import sys
from typing import Any

from frame import serve

REFUSALS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)
"""What the library raises when it cannot take a model."""


def improve(request: dict[str, Any]) -> dict[str, Any]:
    """Learn, and write the weights."""
    from .learn import improve

    return improve(request)


TASKS = {"improve": improve}

if __name__ == "__main__":
    sys.exit(serve(TASKS, REFUSALS))
