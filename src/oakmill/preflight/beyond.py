"""Operators that no compiled network has, whatever the platform: on text, sequences, chance and training."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import NodeProto

from oakmill.preflight.graph import STANDARD, attributes

_WHY: Mapping[str, tuple[str, ...]] = {
    "computes with text, and a camera with numbers": (
        "RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit",
    ),
    "makes or reads a sequence of tensors, and a compiled network has tensors of fixed shape alone": (
        "ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement",
        "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength",
        "SequenceMap", "SplitToSequence",
    ),
    "draws random numbers, and a compiled network has none": (
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
    ),
    "is a step of training": (
        "Adagrad", "Adam", "Gradient", "Momentum", "NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss",
    ),
}  # fmt: skip
_BY_OPERATOR = {op: why for why, ops in _WHY.items() for op in ops}


def why_beyond(node: NodeProto) -> str:
    """Why no platform has a node: what it does, in words that follow its name; empty where one may have it."""
    if node.domain not in (*STANDARD, "ai.onnx.preview.training"):
        return ""
    if node.op_type == "BatchNormalization" and attributes(node).get("training_mode", 0):
        return "is in training mode"
    return _BY_OPERATOR.get(node.op_type, "")
