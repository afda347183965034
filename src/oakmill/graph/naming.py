"""Names of nodes, each has one of its own, and of their domain, as onnxruntime and the vendors' tools expect them."""

from __future__ import annotations

from onnx import ModelProto

from oakmill.graph.skeleton import all_graphs

_SPELLED = "ai.onnx"


def plain_domain(model: ModelProto) -> None:
    """Write ONNX's own domain as all do, empty, where it is spelled out: OpenVINO knows no `ai.onnx.Conv`; in place."""
    if any(not item.domain for item in model.opset_import):
        kept = [item for item in model.opset_import if item.domain != _SPELLED]
        del model.opset_import[:]
        model.opset_import.extend(kept)
    nodes = (node for graph in all_graphs(model.graph) for node in graph.node)
    for item in (*model.opset_import, *nodes):
        if item.domain == _SPELLED:
            item.domain = ""


def name_nodes(model: ModelProto) -> dict[str, str]:
    """Name nameless nodes after what they compute, and give all but the first of one name a number; in place.

    ONNX lets names of nodes repeat, and exporters that join modules make such. Returns the old names by the new
    of those renamed, `conv/2` for the second `conv`: messages find the source's node by what stands before the stroke.
    """
    nodes = [node for graph in all_graphs(model.graph) for node in graph.node]
    for node in nodes:
        if not node.name and node.output:
            node.name = next(filter(None, node.output), "")
    given = {node.name for node in nodes}
    seen: set[str] = set()
    renamed = {}
    for node in nodes:
        if node.name and node.name in seen:
            old, node.name = node.name, _numbered(node.name, given)
            renamed[node.name] = old
        seen.add(node.name)
    return renamed


def _numbered(name: str, taken: set[str]) -> str:
    number = 2
    while f"{name}/{number}" in taken:
        number += 1
    taken.add(f"{name}/{number}")
    return f"{name}/{number}"
