"""Forms that a table calls good by the numbers that it was measured with, and that others show to be otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import NodeProto

from oakmill.preflight.graph import Facts
from oakmill.preflight.variants import Variant

MOST_AXES: Mapping[str, int] = {"rvc4": 5}
"""Dimensions that a tensor may have in most of a compiler's operators."""
_FORMS: Mapping[str, Mapping[tuple[str, str], str]] = {
    "rvc4": {
        (
            "Pow",
            "computed exponent",
        ): "is right above 0; it has 0 for 0^0, and numbers for powers of negative ones",
        ("GridSample", "nearest"): "rounds halves up, where ONNX takes the even neighbour",
    }
}
"""By operator and detail what Qualcomm's library does on the emulated processor; ONNX's own suite shows it."""


def doubt(platform: str, node: NodeProto, variant: Variant, facts: Facts) -> str:
    """Why a node may come out wrong, or not at all, whatever the platform's table says; empty where nothing is known.

    What the preparation writes otherwise is not asked about.
    """
    most = MOST_AXES.get(platform)
    ranks = [rank for name in (*node.input, *node.output) if (rank := facts.rank(name)) is not None]
    if most is not None and max(ranks, default=0) > most:
        return f"has a tensor of {max(ranks)} dimensions, and {platform.upper()}'s compiler takes {most} at most"
    forms = _FORMS.get(platform, {})
    return next((why for (op, part), why in forms.items() if op == variant.op and part in variant.parts), "")
