"""What the runner says of a refused model becomes an error that names the node, the reason and a remedy."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import ModelProto, parser

from oakmill.errors import ToolKilled
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.rvc4 import failures


@pytest.fixture
def model() -> ModelProto:
    return parser.parse_model("""
        <ir_version: 8, opset_import: ["": 16]>
        agraph (float[1,3,8,8] image) => (float[1,3] value)
        {
            hidden = Relu (image)
            value = Det (hidden)
        }
    """)


def refusal(*nodes: dict[str, str]) -> RunnerError:
    return RunnerError("left", kind="not_on_npu", details={"nodes": list(nodes)}, log="the log")


def node(op: str, name: str, reason: str) -> dict[str, str]:
    return {"op": op, "name": name, "reason": reason}


UNSUPPORTED = "Operators of type `Det` are not supported by QNN EP.Det node `x` will not be assigned to QNN EP."


@pytest.mark.parametrize(
    ("left", "words", "remedy"),
    [
        (node("Det", "", UNSUPPORTED), "does not have the operation", "end the network before it"),
        (node("MaxPool", "pool", "QNN NPU does not support PoolMax3d!"), "in two dimensions", "two pools"),
        (node("NonMaxSuppression", "nms", "Cannot get shape"), "selects no boxes", "DepthAI's parsers"),
        (node("NonZero", "where", "NonZero output shape must be static."), "depends on the data", "end the network"),
        (node("Conv", "conv", "Cannot get shape"), "a shape is open", "--shape"),
        (node("LayerNormalization", "norm", "Failed to add node."), "unsigned only", "unsigned"),
        (node("Transpose", "unfold", "Failed to add node."), "with these shapes", "five dimensions"),
        (
            node("BatchNormalization", "norm", "QNN BatchNorm doesn't support dynamic scale."),
            "a constant",
            "simplified",
        ),
        (node("Gelu", "gelu", "QNN doesn't support this"), "does not have the operation", "replace"),
        (node("Loop", "loop", ""), "it gives no reason", "see the log"),
    ],
)
def test_a_node_is_named_with_its_reason_and_a_remedy(
    model: ModelProto, left: dict[str, str], words: str, remedy: str
) -> None:
    error = failures.explain(refusal(left), model)
    assert words in error.message
    assert remedy in error.remedy
    assert error.log == "the log"
    assert error.subject == (left["name"] or "value")
    assert "will not be assigned" not in error.message


def test_the_node_that_is_refused_for_itself_comes_first(model: ModelProto) -> None:
    followers = [node("Relu", f"relu_{number}", "Cannot get shape") for number in range(9)]
    error = failures.explain(refusal(*followers, node("NonZero", "where", "shape must be static")), model)
    assert error.subject == "where"
    assert "'relu_4' (Relu) and 4 more" in error.message
    unnamed = [node("Relu", "", "Cannot get shape") for _ in range(3)]
    assert "Nor can it run 2 Relu without a name" in failures.explain(refusal(*unnamed), model).message


@pytest.mark.parametrize(
    ("kind", "details", "words"),
    [
        ("qnn", {"step": "systemDlcComposeGraphs"}, "cannot have the graph as the DLC states it: the words"),
        ("qnn", {"step": "somethingNew"}, "QAIRT's library failed: the words"),
        ("partitioned", {"count": 2}, "made 2 graphs"),
        ("session", {"reasons": ["one", "two"]}, "refused the model: the words (one; two)"),
        ("", {}, "refused the model: the words"),
    ],
)
def test_every_kind_of_refusal_has_words(kind: str, details: dict[str, Any], words: str) -> None:
    error = failures.explain(RunnerError("the words", kind=kind, details=details, log=""))
    assert words in error.message
    assert error.remedy


@pytest.mark.parametrize(
    ("log", "words", "remedy"),
    [
        (
            "terminate called after throwing an instance of 'std::runtime_error'\n"
            "  what():  applyMethod: Attribute 'hidden_size' not present. Available attributes count: 11\n",
            "Attribute 'hidden_size' not present",
            "unroll",
        ),
        (
            "libc++abi: terminating with uncaught exception of type std::runtime_error: assertAttrExists: 'axis'\n",
            "assertAttrExists: 'axis'",
            "--qairt-root",
        ),
        ("Killed", "ended by signal 9", "free memory"),
    ],
)
def test_an_abort_is_told_in_the_librarys_own_words(log: str, words: str, remedy: str) -> None:
    error = failures.aborted(ToolKilled("it was ended by signal 9", remedy="free memory", log=log))
    assert words in error.message
    assert remedy in error.remedy
