"""Finds what goes into SiLU, x * sigmoid(x): the tensors between a convolution and its activation, whose ranges are
widest of all in detectors of the YOLO families, and which 8 bits know least well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, helper

from oakmill.graph.rewriting import Scope
from oakmill.graph.skeleton import dimensions, replace_nodes

MISREAD_HEIGHTS = range(9, 13)
"""Of QAIRT 2.51, emulated: SiLU in 16 bits on maps of 9 to 12 rows is 5 to 12 dB, on others as simulated (heights of
1 to 48, widths of 8 to 24, 4 to 64 channels; HardSwish, Gelu and gates of something else are right on 12 too)."""
_MAP = 4
_NEXT_TO_ONE = np.nextafter(np.float32(1), np.float32(2))


def silu_inputs(model: ModelProto) -> tuple[str, ...]:
    """The names of the tensors x of each x * sigmoid(x), or x * sigmoid(x * s) as equalized channels have it."""
    return tuple(dict.fromkeys(x for x, _ in _gates(model)))


def keep_apart(model: ModelProto, is_wide: Callable[[str], bool]) -> dict[str, str]:
    """Make x * sigmoid(x) an x * sigmoid(x * s) where Qualcomm's compiler misreads it; in place.

    It makes one operator of the three, but not where there is a factor; the float32 next to 1 changes nothing, and 1
    would be folded.

    Args:
        model: with its tensors' shapes.
        is_wide: whether the tensor of that name has 16 bits.

    Returns:
        The names of the products with that factor, each with the x whose values it has.
    """
    shapes = {value.name: dimensions(value.type.tensor_type) for value in model.graph.value_info}
    maps = {name for name, shape in shapes.items() if shape and len(shape) == _MAP and _is_misread(shape)}
    misread = {sigmoid.output[0] for x, sigmoid in _gates(model) if sigmoid.input[0] == x and x in maps and is_wide(x)}
    if not misread:
        return {}
    scope = Scope(model)
    factor = scope.add_constant(_NEXT_TO_ONE.reshape(1), "next_to_one")
    made: dict[str, str] = {}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "Sigmoid" and node.output[0] in misread:
            product = scope.fresh(f"{node.input[0]}/apart")
            nodes.append(helper.make_node("Mul", [node.input[0], factor], [product], product))
            made[product] = node.input[0]
            node.input[0] = product
        nodes.append(node)
    replace_nodes(model.graph, nodes)
    return made


def _is_misread(shape: Sequence[int | None]) -> bool:
    """Whether either may be its height: the layout of what is no convolution's is not known."""
    return not set(shape[1:3]).isdisjoint(MISREAD_HEIGHTS)


def _gates(model: ModelProto) -> Iterator[tuple[str, NodeProto]]:
    """Each x with the Sigmoid that it is multiplied by."""
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name for tensor in model.graph.initializer}
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
                yield x, sigmoid
