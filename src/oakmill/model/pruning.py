"""Drops from an ONNX graph what no output needs, and the constants that nothing reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from onnx import GraphProto, NodeProto

from oakmill.model.tensors import subgraphs


def reads(node: NodeProto) -> Iterator[str]:
    """The names that a node reads, those within its graphs among them."""
    yield from node.input
    for graph in subgraphs(node):
        yield from (value.name for value in graph.output)
        yield from (name for inner in graph.node for name in reads(inner))


def drop_unneeded(graph: GraphProto) -> None:
    """Drop the nodes and constants that no output needs; inputs stay. In place."""
    needed = {value.name for value in graph.output}
    for index in reversed(range(len(graph.node))):
        if needed.isdisjoint(graph.node[index].output):
            del graph.node[index]
        else:
            needed.update(reads(graph.node[index]))
    _keep_constants(graph, needed)


def drop_unread(graph: GraphProto) -> None:
    """Drop the constants that no node reads, and that are no outputs; in place."""
    read = {value.name for value in graph.output}
    read.update(name for node in graph.node for name in reads(node))
    _keep_constants(graph, read)


def _keep_constants(graph: GraphProto, wanted: Collection[str]) -> None:
    """Drop the others; old models list constants among their inputs, where they would be without a value then."""
    dropped = {tensor.name for tensor in graph.initializer if tensor.name not in wanted}
    for listed in (graph.initializer, graph.input):
        for index in reversed(range(len(listed))):
            if listed[index].name in dropped:
                del listed[index]
