"""Details of operators that slide over images, resize or pad them, as the names of their variants have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto

from oakmill.preflight.graph import Facts, argument

Details = Iterator[str]
Rule = Callable[[NodeProto, Facts, dict[str, Any]], Details]


def computed(facts: Facts, name: str, what: str) -> str:
    """A word on an argument that is no constant."""
    return f"computed {what}" if name and not facts.is_constant(name) else ""


def is_used(facts: Facts, name: str) -> bool:
    """Whether anything reads a tensor, or the model gives it out."""
    return bool(name) and (name in facts.readers or any(value.name == name for value in facts.graph.output))


def spatial(facts: Facts, name: str) -> str:
    """How many axes besides batch and channels a tensor has."""
    rank = facts.rank(name)
    return f"{rank - 2} axes" if rank is not None and rank > 2 else ""


def convolution(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    """Of Conv, ConvTranspose and DeformConv."""
    weights = argument(node, 1)
    shape = facts.shape(weights)
    yield spatial(facts, weights)
    group = given.get("group", 1)
    if group > 1:
        each = shape[1] if shape and len(shape) > 1 else None
        yield "depthwise" if each == 1 else "grouped"
    yield "dilated" if any(step > 1 for step in given.get("dilations", [])) else ""
    yield "output padding" if any(given.get("output_padding", [])) else ""
    yield "output shape" if "output_shape" in given else ""
    yield _auto_pad(given)
    yield "uneven pads" if node.op_type == "ConvTranspose" and _uneven(given) else ""
    yield computed(facts, weights, "weights")


def _uneven(given: Mapping[str, Any]) -> bool:
    """Whether more is padded on one side than on the other."""
    pads = list(given.get("pads", []))
    return pads[: len(pads) // 2] != pads[len(pads) // 2 :]


def _auto_pad(given: Mapping[str, Any]) -> str:
    mode = given.get("auto_pad", "NOTSET")
    return "" if mode == "NOTSET" else str(mode)


def pool(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    """Of pools that slide a window."""
    yield f"{len(given.get('kernel_shape', []))} axes"
    yield "ceil" if given.get("ceil_mode", 0) else ""
    yield "dilated" if any(step > 1 for step in given.get("dilations", [])) else ""
    padded = any(given.get("pads", [])) or _auto_pad(given)
    yield "counts padding" if given.get("count_include_pad", 0) and padded else ""
    yield "uneven pads" if _uneven(given) else ""
    yield _auto_pad(given)
    yield f"p {given['p']}" if given.get("p", 2) != 2 else ""
    yield "with indices" if len(node.output) > 1 and is_used(facts, node.output[1]) else ""


def resize(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    """Of Resize."""
    mode = given.get("mode", "nearest")
    yield mode
    yield given.get("coordinate_transformation_mode", "half_pixel")
    yield given.get("nearest_mode", "round_prefer_floor") if mode == "nearest" else ""
    yield "antialias" if given.get("antialias", 0) else ""
    yield given.get("keep_aspect_ratio_policy", "stretch").replace("stretch", "")
    yield "outside excluded" if given.get("exclude_outside", 0) else ""
    yield computed(facts, argument(node, 2) or argument(node, 3), "sizes")
    before, after = facts.shape(node.input[0]), facts.shape(node.output[0])
    if before and after and None not in before and None not in after:
        larger = [(a or 0) > (b or 0) for a, b in zip(after, before, strict=False) if a != b]
        yield "down" if larger and not any(larger) else ""
        yield _ratio(before, after)
        yield "of channels" if before[:2] != after[:2] else ""


def _ratio(before: Sequence[int | None], after: Sequence[int | None]) -> str:
    """Compilers have special ways for doubling and halving, and get other ratios wrong more often."""
    ratios = {max(a or 1, b or 1) / min(a or 1, b or 1) for a, b in zip(before, after, strict=False)}
    if ratios <= {1.0, 2.0}:
        return ""
    return "more than doubled" if all(ratio.is_integer() for ratio in ratios) else "by a fraction"


def pad(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    """Of Pad."""
    yield given.get("mode", "constant")
    pads = facts.value(argument(node, 1)) if argument(node, 1) else given.get("pads")
    yield "negative" if pads is not None and min(pads, default=0) < 0 else ""
    yield "by nothing" if pads is not None and not any(pads) else ""
    yield computed(facts, argument(node, 1), "pads")
    yield "axes named" if argument(node, 3) else ""
    fill = facts.value(argument(node, 2)) if argument(node, 2) else None
    yield "of infinity" if fill is not None and fill.dtype.kind == "f" and np.isinf(fill).any() else ""
