"""What a recognised network takes its images as, for those who have not said it: an offer for forms and commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx import ModelProto

from oakmill.heads import families
from oakmill.heads.families.base import Evidence
from oakmill.heads.families.tracing import Graph
from oakmill.model.source import SourceModel
from oakmill.model.structure import graph_inputs
from oakmill.spec import InputSpec

_MOVES = frozenset({"Cast", "Transpose", "Identity"})
_COMPUTES = frozenset({"Add", "Sub", "Mul", "Div"})
_FIRST = 8
"""Nodes at a graph's beginning that may be preprocessing: a cast, a turn, a mean and a scale, with some to spare."""


def of(model: ModelProto | None, source: SourceModel, family: str = "") -> Mapping[str, Any]:
    """Fields of the one input's `InputSpec`; empty where it is no colour image, or nobody knows the network.

    Empty too where it takes integers, or the graph itself subtracts or divides first: it would be done twice.

    Args:
        model: the source's graph, with its small constants; None of a checkpoint, which says itself whose it is.
        source: where it comes from.
        family: what the user says that it is.
    """
    shapes = [item.shape for item in source.inputs]
    if len(shapes) != 1 or len(shapes[0]) != len("NCHW") or 3 not in (shapes[0][1], shapes[0][3]):
        return {}
    if not source.inputs[0].dtype.startswith("float") or (model and _computes_first(model)):
        return {}
    height, width = shapes[0][2:] if shapes[0][1] == 3 else shapes[0][1:3]
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    evidence = Evidence(source.metadata, size, family)
    return families.preprocessing(families.recognise(model, evidence) if model else None, evidence)


def _computes_first(model: ModelProto) -> bool:
    """Whether a constant is added to the image, or divides it, before anything else looks at it."""
    graph, name = Graph(model), graph_inputs(model.graph)[0].name
    for _ in range(_FIRST):
        readers = [node for node in graph.readers(name) if node.op_type != "Shape"]
        if len(readers) != 1:
            return False
        (reader,) = readers
        if reader.op_type in _COMPUTES:
            return any(graph.is_constant(other) for other in reader.input if other != name)
        if reader.op_type not in _MOVES or not reader.output:
            return False
        name = reader.output[0]
    return False


def in_words(spec: InputSpec) -> str:
    """What an input takes, for people: "RGB divided by 255"."""
    less = f" minus {_numbers(spec.mean_values)}" if spec.mean_values else ""
    divided = f"{less} divided by {_numbers(spec.scale_values)}" if spec.scale_values else less or ", as it is"
    return f"{spec.encoding_from}{divided}"


def as_options(spec: InputSpec) -> str:
    """The same as options of a conversion: "--scale-values 255 --encoding-from RGB"."""
    words = (("--mean-values", spec.mean_values), ("--scale-values", spec.scale_values))
    numbers = [f"{option} {_numbers(values)}" for option, values in words if values]
    return " ".join([*numbers, f"--encoding-from {spec.encoding_from}"])


def _numbers(values: Sequence[float]) -> str:
    """One number for all channels, or one for each."""
    return ",".join(f"{value:g}" for value in (values[:1] if len(set(values)) == 1 else values))
