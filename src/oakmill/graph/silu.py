"""Finds what goes into SiLU, x * sigmoid(x): the tensors between a convolution and its activation, whose ranges are
widest of all in detectors of the YOLO families, and which 8 bits know least well."""

from __future__ import annotations

from onnx import ModelProto


def silu_inputs(model: ModelProto) -> tuple[str, ...]:
    """The names of the tensors x of each x * sigmoid(x), or x * sigmoid(x * s) as equalized channels have it."""
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name for tensor in model.graph.initializer}
    found: dict[str, None] = {}
    for node in model.graph.node:
        if node.op_type != "Mul" or len(node.input) != 2:
            continue
        for x, gate in (tuple(node.input), tuple(reversed(node.input))):
            sigmoid = makers.get(gate)
            if sigmoid is None or sigmoid.op_type != "Sigmoid":
                continue
            inner = makers.get(sigmoid.input[0])
            scaled = inner is not None and inner.op_type == "Mul" and x in inner.input
            if sigmoid.input[0] == x or (scaled and not constants.isdisjoint(inner.input if inner else ())):
                found[x] = None
    return tuple(found)
