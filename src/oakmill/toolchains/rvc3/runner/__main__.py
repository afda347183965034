"""Runs IRs with OpenVINO 2022.3.2, and quantizes them with NNCF or POT; each environment has one of the three.

infer  {"model": FILE.xml, "inputs": [NAME], "outputs": [NAME], "samples": [{INPUT: FILE.npy}], "target": FILE.npz}
nncf   {"model": FILE.xml, "target": FILE.xml, "samples": {INPUT: FILE.npy}, "calibrate": 256, "device": "NPU",
        "preset": "mixed", "ignored_names": [NAME], "ignored_types": [TYPE],
        "control": null or {"drop": 0.01, "seconds": 300}}
pot    the same without "control", "device" VPU or ANY

An array of samples is [samples, *the input's shape]; the first `calibrate` of them do so, the others control. The
answer tells what was done. Kinds of refusal: model, names, layers.
"""

from __future__ import annotations

import sys
from typing import Any

from frame import serve

REFUSALS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)
"""What the vendors' libraries raise when they cannot take a model."""


def infer(request: dict[str, Any]) -> dict[str, Any]:
    """Run an IR."""
    from .infer import infer

    return infer(request)


def nncf(request: dict[str, Any]) -> dict[str, Any]:
    """Quantize by NNCF."""
    from .by_nncf import quantize

    return quantize(request)


def pot(request: dict[str, Any]) -> dict[str, Any]:
    """Quantize by POT."""
    from .by_pot import quantize

    return quantize(request)


TASKS = {"infer": infer, "nncf": nncf, "pot": pot}

if __name__ == "__main__":
    sys.exit(serve(TASKS, REFUSALS))
