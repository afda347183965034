"""Turns what OpenVINO says when it refuses a model into an error that names the node and what to do.

OpenVINO calls a layer after the ONNX node, or after the node's first output where the node has no name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from oakmill.errors import CompileFailed
from oakmill.spec import Rvc2Spec


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
        re.compile(r"Unsupported (?P<op>pad) value"),
        "RVC2's compiler pads by no infinite number",
        "pad by -65504 in the model, the lowest number of FP16, or by MaxPool's own pads",
    ),
    Rule(
        re.compile(r"While validating ONNX node '<Node\((?P<op>\w+)\): (?P<layer>[^>]*)>'"),
        "RVC2's reader does not take this form of {op}",
        "use another form of it in the model, as the compiler's words have it, or end the network before it",
    ),
    Rule(
        re.compile(r"doesn't support inputs having dynamic shapes"),
        "an input's shape is open",
        "give the shape: --shape NAME=1,3,H,W",
    ),
    Rule(
        re.compile(
            r"(?:memory allocation failed|not enough memory|failed to allocate|cmxDataProducerInd < failedStageInd)"
            r"(?:.*?for stage (?P<layer>[^\s@]+)\S* with type (?P<op>\w+))?",
            re.IGNORECASE | re.DOTALL,
        ),
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


_BECOMES = {"TopK": ("ArgMax", "ArgMin")}
"""Operations of ONNX that OpenVINO computes by one of its own."""
_NAMED = 3
_USUAL = int(Rvc2Spec.model_fields["number_of_shaves"].default)
"""The SHAVEs of a blob for which nothing else is asked."""


def explain(
    message: str, model: onnx.ModelProto | None = None, details: Mapping[str, Any] | None = None
) -> CompileFailed:
    """The error for a message of OpenVINO; with the model, the layer is traced back to its ONNX node.

    `details` are the runner's: for a superblob, the numbers of SHAVEs for which it `works`, and for which it `fails`.
    """
    words = re.sub(r"\[ GENERAL_ERROR \]\s*|\S*/openvino/\S+:\d+\s*", "", message).strip()
    works, fails = ((details or {}).get(key) or () for key in ("works", "fails"))
    for rule in RULES:
        if found := rule.pattern.search(message):
            parts = {key: value or "" for key, value in found.groupdict().items()}
            nodes = find_nodes(model, parts.get("layer", ""), parts.get("op", ""))
            return CompileFailed(
                _with_shaves(works, fails)
                + rule.meaning.format(**parts)
                + _where(nodes)
                + f". The compiler says: {words}",
                subject=_label(nodes[0]) if nodes else parts.get("layer", ""),
                remedy=_on_fewer(works, fails) or rule.remedy,
                log=message,
            )
    return CompileFailed(
        f"{_with_shaves(works, fails)}RVC2's compiler refused the model: {words}",
        remedy=_on_fewer(works, fails) or "see the log with -v",
        log=message,
    )


def _with_shaves(works: Sequence[int], fails: Sequence[int]) -> str:
    return f"with {_listed(fails)} SHAVE{'s' * (list(fails) != [1])}, " if works else ""


def _on_fewer(works: Sequence[int], fails: Sequence[int]) -> str:
    """The remedy where a superblob cannot be had, and single blobs can."""
    if not works:
        return ""
    best = min(works, key=lambda shaves: abs(shaves - _USUAL))
    return f"--blob --shaves {best}: it compiles for {_listed(works)} SHAVEs, and a superblob needs all of 1 to 16"


def _listed(numbers: Sequence[int]) -> str:
    """Numbers in their order, neighbours as a range: 1, 4 to 8."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def _where(nodes: Sequence[onnx.NodeProto]) -> str:
    if not nodes:
        return ""
    named = ", ".join(f"{_label(node)!r}" for node in nodes[:_NAMED])
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    several = "one of the nodes" if len(nodes) > 1 else "node"
    return f" ({several} {named}{more}, {nodes[0].op_type})"


def _label(node: onnx.NodeProto) -> str:
    return node.name or str(node.output[0])


def find_nodes(model: onnx.ModelProto | None, layer: str, op: str) -> list[onnx.NodeProto]:
    """The ONNX node behind a layer, by its name or output; else all of the operation that it was made of."""
    if model is None:
        return []
    nodes = model.graph.node
    exact = [node for node in nodes if layer and (node.name == layer or layer in node.output)]
    stem = layer.split("/", maxsplit=1)[0].split("IE_", maxsplit=1)[0]
    alike = [node for node in nodes if op and op.lower().startswith(node.op_type.lower())]
    named = [node for node in nodes if stem and stem.lower().startswith(node.op_type.lower())]
    became = [node for node in nodes if node.op_type in _BECOMES.get(op, ())]
    if op == "pad":
        alike = [node for node in alike if _is_infinite(model, node)]
    return exact[:1] or alike or named or became


def _is_infinite(model: onnx.ModelProto, pad: onnx.NodeProto) -> bool:
    value = pad.input[2] if len(pad.input) > 2 else ""
    tensors = (tensor for tensor in model.graph.initializer if tensor.name == value)
    return any(bool(np.isinf(onnx.numpy_helper.to_array(tensor)).any()) for tensor in tensors)
