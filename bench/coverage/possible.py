"""Tells the suite's cases apart that no compiled network can be: on text or sequences, of sizes that data decide."""

from __future__ import annotations

from onnx import ModelProto
from suite import Stated

from oakmill.preflight.beyond import why_beyond
from oakmill.preflight.graph import Facts
from oakmill.preflight.variants import variant_of

DECIDE_SIZES = {
    f"computed {word}" for word in ("axes", "bounds", "depth", "k", "pads", "repeats", "shape", "sizes")
}  # fmt: skip
"""Details of variants: an argument that decides how large a result is, and is fed while the model runs."""
FIND = {"Compress", "Loop", "NonMaxSuppression", "NonZero", "Scan", "Unique"}
"""Operators that return as much as they find, or run as often as data say."""


def why_impossible(case: Stated) -> str:
    """Why no platform can have a case; empty where one may."""
    arrays = [*case.feeds.values(), *case.expected.values()]
    if any(values.dtype.kind in "OSU" for values in arrays):
        return "text"
    if any(values.size == 0 for values in arrays):
        return "tensors without elements"
    return _of_nodes(case.model)


def _of_nodes(model: ModelProto) -> str:
    facts = Facts(model)
    for node in facts.nodes:
        if why_beyond(node):
            return "text, sequences, chance or training"
        decided = DECIDE_SIZES & variant_of(node, facts).parts
        if node.op_type in FIND or (decided and node.op_type != "Clip"):
            return "sizes that data decide"
    return ""
