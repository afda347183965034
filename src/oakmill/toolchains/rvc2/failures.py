"""Turns what OpenVINO says when it refuses a model into an error that names the node and what to do.

OpenVINO calls a layer after the ONNX node, or after the node's first output where the node has no name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import onnx

from oakmill.errors import CompileFailed


@dataclass(frozen=True)
class Rule:
    """A known message of OpenVINO, what it means, and what helps."""

    pattern: re.Pattern[str]
    meaning: str
    remedy: str


RULES = (
    Rule(
        re.compile(r'layer "(?P<layer>[^"]*)": unsupported layer type "(?P<op>[^"]*)"'),
        "RVC2's compiler has no {op}",
        "replace the operation in the model, or end the network before it",
    ),
    Rule(
        re.compile(r"does not support the following ONNX operations: (?P<op>.+)"),
        "RVC2's reader does not know the operation {op}",
        "export with an older opset, or replace the operation in the model",
    ),
    Rule(
        re.compile(r'layer "(?P<layer>[^"]*)": .*Interpolate supports .*actual (?P<op>\w+)', re.DOTALL),
        "RVC2's compiler resizes by nearest and linear only, not by {op}",
        "use nearest or linear interpolation in the model",
    ),
    Rule(
        re.compile(r"doesn't support inputs having dynamic shapes"),
        "an input's shape is open",
        "give the shape: --shape NAME=1,3,H,W",
    ),
    Rule(
        re.compile(r"memory allocation failed|not enough memory|failed to allocate", re.IGNORECASE),
        "a stage of the network needs more of RVC2's fast memory than there is",
        "use a smaller input shape, or fewer channels in the layer that is named",
    ),
    Rule(
        re.compile(r'Failed to compile layer "(?P<layer>[^"]*)"'),
        "RVC2's compiler could not compile a layer",
        "see the compiler's words for what it expects there",
    ),
    Rule(
        re.compile(r"NETWORK_NOT_READ|Unable to read the model"),
        "RVC2's reader could not read the prepared model",
        "convert without simplification (--disable-onnx-simplification), and see the log",
    ),
)


def explain(message: str, model: onnx.ModelProto | None = None) -> CompileFailed:
    """The error for a message of OpenVINO; with the model, the layer is traced back to its ONNX node."""
    words = re.sub(r"\[ GENERAL_ERROR \]\s*|\S*/openvino/\S+:\d+\s*", "", message).strip()
    for rule in RULES:
        if found := rule.pattern.search(message):
            parts = found.groupdict()
            node = find_node(model, parts.get("layer", ""), parts.get("op", ""))
            where = f" (node {node.name or node.output[0]!r}, {node.op_type})" if node else ""
            return CompileFailed(
                rule.meaning.format(**parts) + where + f". The compiler says: {words}",
                subject=(node.name or node.output[0]) if node else parts.get("layer", ""),
                remedy=rule.remedy,
                log=message,
            )
    return CompileFailed(f"RVC2's compiler refused the model: {words}", remedy="see the log with -v", log=message)


def find_node(model: onnx.ModelProto | None, layer: str, op: str) -> onnx.NodeProto | None:
    """The ONNX node behind a layer: by name, by output, else by operation where it is the only one of its kind."""
    if model is None:
        return None
    nodes = model.graph.node
    exact = [node for node in nodes if layer and (node.name == layer or layer in node.output)]
    stem = layer.split("/", maxsplit=1)[0].split("IE_", maxsplit=1)[0]
    alike = [node for node in nodes if op and op.lower().startswith(node.op_type.lower())]
    named = [node for node in nodes if stem and stem.lower().startswith(node.op_type.lower())]
    return next(iter(exact or alike or named), None)
