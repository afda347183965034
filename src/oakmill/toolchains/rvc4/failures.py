"""Turns what the runner says of a refused model into an error that names the nodes, the reason and what to do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from oakmill.errors import CompileFailed, ToolFailed, ToolKilled
from oakmill.toolchains.door import RunnerError

_NAMED = 5
_NO_WORDS = "it gives no reason"


@dataclass(frozen=True)
class Rule:
    """A known refusal: of operations `op`, for a `reason` in the log; what it means and what helps."""

    op: re.Pattern[str]
    reason: re.Pattern[str]
    meaning: str
    remedy: str

    def fits(self, op: str, reason: str) -> bool:
        """Whether it explains this node."""
        return bool(self.op.fullmatch(op) and self.reason.search(reason))


def _rule(op: str, reason: str, meaning: str, remedy: str) -> Rule:
    return Rule(re.compile(op), re.compile(reason, re.IGNORECASE), meaning, remedy)


RULES = (
    _rule(
        "NonMaxSuppression",
        "",
        "RVC4's processor selects no boxes",
        "end the network before NonMaxSuppression (an archive's head, or the outputs' names): DepthAI's parsers do it "
        "on the camera",
    ),
    _rule(
        "NonZero|Unique|Compress",
        "",
        "the size of its result depends on the data",
        "end the network before it, or keep all values and a mask",
    ),
    _rule(
        ".*",
        "cannot get shape|shape must be static",
        "a shape is open there",
        "give the inputs' shapes: --shape NAME=1,3,H,W",
    ),
    _rule(
        "MaxPool|AveragePool",
        "pool(max|avg)3d",
        "RVC4's processor pools in two dimensions, not in three",
        "pool over two axes at a time: the same result from two pools with a reshape between them",
    ),
    _rule(
        "LayerNormalization|InstanceNormalization|BatchNormalization|PRelu",
        "failed to add node|validat",
        "RVC4's compiler takes its constants unsigned only",
        "quantize the constants of this layer as unsigned 8-bit numbers",
    ),
    _rule(
        ".*",
        "failed to add node|validat",
        "RVC4's compiler refuses the operation with these shapes and number formats",
        "it has five dimensions at most: reshape around the node; or give its tensors 16 bits (--tensor NAME=int16)",
    ),
    _rule(
        ".*",
        "dynamic (scale|bias|mean|var|weight|slope|axes|pads|repeats|shape)|must be constant|constant initializer",
        "a value that has to be a constant is computed there, or is also listed as an input of the model",
        "let the model be simplified (without --disable-onnx-simplification), or export it without initializers "
        "among its inputs",
    ),
    _rule(
        ".*",
        "not supported by qnn ep|does not support|doesn't support|not supported",
        "RVC4's compiler does not have the operation",
        "replace the operation in the model, or end the network before it",
    ),
)
_UNKNOWN = _rule(".*", "", "RVC4's compiler refuses it", "replace the operation in the model, and see the log with -v")

_STEPS = {
    "systemDlcCreateFromFile": "QAIRT's library cannot open the DLC",
    "systemDlcComposeGraphs": "RVC4's processor cannot have the graph as the DLC states it",
    "graphFinalize": "RVC4's compiler could not prepare the graph",
    "graphExecute": "the emulated processor could not run the graph",
    "deviceCreate": "QAIRT's library does not know the chip",
}
_ABORT = re.compile(r"(?:what\(\):|of type std::\w+:) *(?P<words>.+)")  # as libstdc++ and libc++ print it
_RECURRENT = "hidden_size"


def explain(error: RunnerError, model: onnx.ModelProto | None = None) -> CompileFailed:
    """The error for a refusal; with the model, nodes are called by what the model calls them."""
    if error.kind == "not_on_npu":
        return _left_to_cpu(error, model)
    if error.kind == "qnn":
        step = _STEPS.get(str(error.details.get("step")), "QAIRT's library failed")
        return _failed(f"{step}: {error.message}", "see the log with -v", error)
    if error.kind == "partitioned":
        count = error.details.get("count", 0)
        return _failed(
            f"RVC4's compiler made {count} graphs of the model, and a DLC for OAK4 has one",
            "the model may have parts that are not connected, or nothing to compute",
            error,
        )
    reasons = "; ".join(map(str, error.details.get("reasons", [])))
    words = f"{error.message}{f' ({reasons})' if reasons else ''}"
    return _failed(f"RVC4's compiler refused the model: {words}", "see the log with -v", error)


def _failed(message: str, remedy: str, error: ToolFailed) -> CompileFailed:
    return CompileFailed(message, remedy=remedy, log=error.log)


def _left_to_cpu(error: RunnerError, model: onnx.ModelProto | None) -> CompileFailed:
    nodes = [node for node in error.details.get("nodes", []) if isinstance(node, dict)]
    first = _first_cause(nodes)
    op, reason = str(first.get("op", "")), _clean(str(first.get("reason", "")))
    rule = next((rule for rule in RULES if rule.fits(op, reason)), _UNKNOWN)
    name = _model_name(model, op, str(first.get("name", "")))
    message = f"RVC4's processor cannot run the node {name!r} ({op}): {rule.meaning}. The compiler says: "
    message += reason or _NO_WORDS
    others = [node for node in nodes if node is not first]
    if others:
        message += f". Nor can it run {_listed(others)}"
    return CompileFailed(message, subject=name, remedy=rule.remedy, log=error.log)


def _first_cause(nodes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The node to name first: one that is refused for itself, not one that follows from an open shape elsewhere."""
    own = [node for node in nodes if node.get("reason") and "cannot get shape" not in str(node["reason"]).lower()]
    return next(iter(own or nodes), {})


def _listed(nodes: Sequence[Mapping[str, Any]]) -> str:
    named = [f"{node['name']!r} ({node.get('op')})" for node in nodes if node.get("name")]
    unnamed = Counter(str(node.get("op")) for node in nodes if not node.get("name"))
    words = [*named[:_NAMED], *(f"{count} {op} without a name" for op, count in unnamed.items())]
    more = len(named[_NAMED:])
    return ", ".join(words) + (f" and {more} more" if more else "")


def _clean(reason: str) -> str:
    """The compiler's reason, without the sentence that only repeats the node's name."""
    return re.sub(r"\.?\s*\w+ node `[^`]*` will not be assigned to QNN EP\.?", "", reason).strip(" .")


def _model_name(model: onnx.ModelProto | None, op: str, name: str) -> str:
    """What the model calls a node: its name, or its first output; a node of onnxruntime's own is found by its kind."""
    nodes: Iterable[onnx.NodeProto] = model.graph.node if model is not None else ()
    exact = [node for node in nodes if name and name in (node.name, *node.output)]
    alike = [node for node in nodes if node.op_type == op]
    found = exact or (alike if len(alike) == 1 else [])
    return found[0].name or found[0].output[0] if found else name or op


def aborted(error: ToolKilled) -> ToolKilled:
    """The error for a library that ended its process on opening a DLC that it wrote itself."""
    said = [found["words"].strip() for found in _ABORT.finditer(error.log)]
    if not said:
        return error
    remedy = "recurrent layers (LSTM, GRU) do this: unroll them into elementary operations"
    if _RECURRENT not in said[-1]:
        remedy = "another version of QAIRT may read the file (--qairt-root)"
    return ToolKilled(
        f"the DLC was written, but QAIRT's own library aborts on opening it: {said[-1]}", remedy=remedy, log=error.log
    )
