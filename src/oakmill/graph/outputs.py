"""Ending a model at other tensors than its own outputs, such as those before a detector's decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

from oakmill.errors import SpecError
from oakmill.graph.skeleton import all_graphs, infer_shapes, subgraphs


def cut_at(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """Make these tensors the model's outputs, in this order, and drop what only others need; in place.

    A name is that of a tensor, or of a node, which stands for its first output.

    Raises:
        SpecError: the model computes nothing of that name, or something whose type is not known; or one comes twice.
    """
    infer_shapes(model)
    chosen = [_find(model.graph, name) for name in names]
    for value in chosen:
        if chosen.count(value) > 1:
            raise SpecError(f"The network cannot end at {value.name!r} twice.", subject=value.name)
    del model.graph.output[:]
    model.graph.output.extend(chosen)
    _drop_unneeded(model.graph)
    return model


def _find(graph: GraphProto, name: str) -> ValueInfoProto:
    computed = {output: output for node in graph.node for output in node.output}
    by_node = {node.name: node.output[0] for node in graph.node if node.name and node.output}
    tensor = (by_node | computed).get(name)
    if not tensor:
        raise SpecError(
            f"The network cannot end at {name!r}: no tensor or node has that name.",
            subject=name,
            remedy=f"Its outputs are {', '.join(value.name for value in graph.output)}; a viewer shows the others.",
        )
    known = {value.name: value for value in (*graph.value_info, *graph.output)}
    if tensor not in known:
        raise SpecError(f"The network cannot end at {name!r}: the type of its values is not known.", subject=name)
    found = ValueInfoProto()
    found.CopyFrom(known[tensor])
    return found


def _drop_unneeded(graph: GraphProto) -> None:
    """Drop the nodes and constants that no output needs; inputs stay."""
    needed = {value.name for value in graph.output}
    for index in reversed(range(len(graph.node))):
        if needed.isdisjoint(graph.node[index].output):
            del graph.node[index]
        else:
            needed.update(_reads(graph.node[index]))
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in needed:
            del graph.initializer[index]


def _reads(node: NodeProto) -> Iterator[str]:
    """The names that a node reads, those within its graphs among them."""
    yield from node.input
    for graph in (inner for outer in subgraphs(node) for inner in all_graphs(outer)):
        yield from (value.name for value in graph.output)
        yield from (name for inner in graph.node for name in inner.input)
