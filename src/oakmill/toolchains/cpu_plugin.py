"""OpenVINO's CPU plugin runs RVC2's and RVC3's networks: without its code for newer processors where that crashes.

The plugin generates code for what the processor has. With AVX2, OpenVINO 2022's ends by a signal on some networks, as
on PP-OCR's text detector; its code for SSE4.1, which every processor has, computes the same, slower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from oakmill.errors import ToolKilled

T = TypeVar("T")

PLAIN = {"DNNL_MAX_CPU_ISA": "SSE41"}
"""The variable that oneDNN, which generates the code, reads when the plugin is loaded."""
CRASHES = ("SIGSEGV", "SIGILL", "SIGBUS")
"""Signals by which code ends that was generated wrongly."""


def asked(ask: Callable[[Mapping[str, str]], T]) -> T:
    """Ask a runner with these variables in its environment: none, and the plugin's plain code where that crashes.

    Raises: as `ask`.
    """
    try:
        return ask({})
    except ToolKilled as error:
        if error.signal not in CRASHES:
            raise
        return ask(PLAIN)
