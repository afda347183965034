"""OpenVINO's CPU plugin runs RVC2's and RVC3's networks: without its code for newer processors where that fails.

The plugin generates code for what the processor has. With AVX2, OpenVINO 2022's ends by a signal on some networks, as
on PP-OCR's text detector, and gives nothing but NaN on others, as on its reader of text (of which it gives the right
numbers, too, once the tensors between are asked for); its code for SSE4.1, which every processor has, computes them
all, slower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from oakmill.errors import ToolKilled

T = TypeVar("T")

PLAIN = {"DNNL_MAX_CPU_ISA": "SSE41"}
"""The variable that oneDNN, which generates the code, reads when the plugin is loaded."""
CRASHES = ("SIGSEGV", "SIGILL", "SIGBUS")
"""Signals by which code ends that was generated wrongly."""


def asked(ask: Callable[[Mapping[str, str]], T], outputs: Path) -> T:
    """Ask a runner with these variables in its environment: none, and the plugin's plain code where that is no good.

    Args:
        ask: runs it, which writes what comes out, if anything, to `outputs`, an .npz file.

    Raises: as `ask`.
    """
    outputs.unlink(missing_ok=True)
    try:
        answer = ask({})
    except ToolKilled as error:
        if error.signal not in CRASHES:
            raise
    else:
        if not _holds_nan(outputs):
            return answer
    return ask(PLAIN)


def _holds_nan(outputs: Path) -> bool:
    """Whether something in an .npz file is no number."""
    if not outputs.is_file():
        return False
    with np.load(outputs) as found:
        return any(found[name].dtype.kind == "f" and bool(np.isnan(found[name]).any()) for name in found.files)
