"""What the preparation writes out before a compiler reads it, and a table is to be asked about in that form."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from oakmill.preflight.graph import STANDARD, Facts, argument, attributes
from oakmill.preflight.sliding import is_used

_SOFTMAXES = ("Softmax", "LogSoftmax", "Hardmax")
_WINDOWS = ("AveragePool", "Conv", "ConvTranspose", "LpPool", "MaxPool")
_ONE_AXIS = 13
"""The opset from which a Softmax is of one axis."""


def as_prepared(node: NodeProto, facts: Facts) -> NodeProto:
    """The node as `oakmill.graph.explicit` leaves it: itself, where there is nothing to write out.

    Pads are numbers instead of `auto_pad` and `output_shape`; a Softmax that joins axes is of the last one; the last
    state of an LSTM is taken from all of its steps; a Pad by -inf for MaxPools is one by a number, if it stays at all.
    """
    if node.domain in STANDARD and node.op_type == "LSTM":
        return _of_all_steps(node, facts)
    shape = facts.shape(node.input[0]) if node.input else None
    if node.domain not in STANDARD or not shape or None in shape:
        return node
    given = attributes(node)
    if node.op_type in _SOFTMAXES and facts.opset < _ONE_AXIS:
        behind = shape[given.get("axis", 1) % len(shape) + 1 :]
        return _changed(node, axis=len(shape) - 1) if set(behind) - {1} else node
    if node.op_type == "Pad" and _is_for_pools(node, facts):
        changed = _changed(node)
        del changed.input[2:]
        return changed
    implicit = "output_shape" in given or given.get("auto_pad", "NOTSET") != "NOTSET"
    if node.op_type in _WINDOWS and implicit and max(given.get("dilations") or [1]) == 1:
        return _changed(node, "output_shape", "auto_pad")
    return node


def _of_all_steps(node: NodeProto, facts: Facts) -> NodeProto:
    """An LSTM, whose sequence may have a length that only the preparation works out."""
    if not _is_last_alone(node, facts):
        return node
    changed = _changed(node)
    changed.output[0] = node.output[1]  # is read
    return changed


def _is_last_alone(node: NodeProto, facts: Facts) -> bool:
    every, hidden = (is_used(facts, name) for name in (*node.output, "", "")[:2])
    return hidden and not every and not argument(node, 4) and not attributes(node).get("layout", 0)


def _is_for_pools(node: NodeProto, facts: Facts) -> bool:
    """Whether it pads by -inf what MaxPools alone read, which take the pads for their own, or the lowest number."""
    fill, readers = facts.value(argument(node, 2)), facts.readers.get(node.output[0], [])
    given_out = any(value.name == node.output[0] for value in facts.graph.output)
    lowest = fill is not None and bool((fill == -np.inf).all())
    return lowest and bool(readers) and not given_out and all(reader.op_type == "MaxPool" for reader in readers)


def _changed(node: NodeProto, *drop: str, **values: int) -> NodeProto:
    changed = NodeProto()
    changed.CopyFrom(node)
    kept = [item for item in node.attribute if item.name not in (*drop, *values)]
    del changed.attribute[:]
    changed.attribute.extend(kept)
    changed.attribute.extend(helper.make_attribute(name, value) for name, value in values.items())
    return changed
