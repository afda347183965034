"""Drops inputs that nothing computes with: compilers leave them out, and the file would have other inputs than said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from oakmill.graph.skeleton import source_inputs
from oakmill.model.ir_graph import IrGraph
from oakmill.preflight.graph import Facts
from oakmill.preflight.inputs import shapes_of, stated
from oakmill.spec import InputSpec

_CONSTANT_OF_SHAPE = 9
"""The first opset that has it."""


def without(network: Any, asked: Sequence[InputSpec]) -> tuple[Any, tuple[str, ...]]:
    """The network without the inputs that no output depends on, and their names; ONNX is changed in place.

    An input of which only the shape is used is one of them: zeros of that shape, which fold away, stand in for it. A
    network that would be left without inputs keeps them.

    Args:
        network: ONNX or OpenVINO's own, ended where it is to end; anything else is given back as it is.
        asked: what is asked of the inputs; their shapes count.
    """
    if isinstance(network, ModelProto):
        return network, _of_onnx(network, asked)
    if isinstance(network, IrGraph):
        names = _of_ir(network)
        return network.refreshed() if names else network, names
    return network, ()


def _of_onnx(model: ModelProto, asked: Sequence[InputSpec]) -> tuple[str, ...]:
    inputs = source_inputs(model)
    shapes = shapes_of(inputs, asked)
    fixed = {value.name: shapes.get(value.name) or _with_batch(value) for value in inputs}
    facts = Facts(model, {name: shape for name, shape in fixed.items() if shape})
    used = {value.name for value in model.graph.output} | facts.reads
    unused = [value for value in inputs if value.name not in used]
    if len(unused) == len(inputs):
        return ()
    droppable = [value for value in unused if value.name not in facts.readers or _has_zeros(facts, fixed[value.name])]
    for value in droppable:
        if value.name in facts.readers:
            _stand_in(model, value, fixed[value.name])
        model.graph.input.remove(value)
    return tuple(value.name for value in droppable)


def _has_zeros(facts: Facts, shape: Sequence[int]) -> bool:
    """Whether zeros can stand in: the shape is known, and the opset has ConstantOfShape."""
    return bool(shape) and facts.opset >= _CONSTANT_OF_SHAPE


def _with_batch(value: ValueInfoProto) -> tuple[int, ...]:
    """The shape that an input has without being asked for another: an open batch is 1; empty where more is open."""
    shape = stated(value)
    sizes = (shape[0] or 1, *shape[1:]) if shape else ()
    return tuple(size for size in sizes if size) if None not in sizes else ()


def _stand_in(model: ModelProto, value: ValueInfoProto, shape: Sequence[int]) -> None:
    """Zeros in an input's place, made as the network runs."""
    size = f"{value.name}/shape"
    zero = helper.make_tensor("zero", value.type.tensor_type.elem_type, [1], [0])
    sizes = helper.make_tensor(size, TensorProto.INT64, [len(shape)], shape)
    nodes = [
        helper.make_node("Constant", [], [size], size, value=sizes),
        helper.make_node("ConstantOfShape", [size], [value.name], f"{value.name}/zeros", value=zero),
    ]
    for node in reversed(nodes):
        model.graph.node.insert(0, node)


def _of_ir(graph: IrGraph) -> tuple[str, ...]:
    """Those whose Parameter no layer reads, removed from the XML."""
    read = {source[0] for source in graph.feeds.values()}
    unused = [layer for layer in graph.parameters if layer.get("id") not in read]
    if len(unused) == len(graph.parameters):
        return ()
    for layer in unused:
        graph.layers_element.remove(layer)
    return tuple(layer.get("name", "") for layer in unused)
