"""What a recognised network takes its images as, for those who have not said it: an offer for forms and commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnx import ModelProto

from oakmill.heads import families
from oakmill.heads.families.base import Evidence
from oakmill.model.source import SourceModel
from oakmill.spec import InputSpec


def of(model: ModelProto | None, source: SourceModel) -> Mapping[str, Any]:
    """Fields of the one input's `InputSpec`; empty where it is no colour image, or nobody knows the network.

    Args:
        model: the source's graph, with its small constants; None of a checkpoint, which says itself whose it is.
        source: where it comes from.
    """
    shapes = [item.shape for item in source.inputs]
    if len(shapes) != 1 or len(shapes[0]) != len("NCHW") or shapes[0][1] != 3:
        return {}
    height, width = shapes[0][2:]
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    evidence = Evidence(source.metadata, size)
    return families.preprocessing(families.recognise(model, evidence) if model else None, evidence)


def in_words(spec: InputSpec) -> str:
    """What an input takes, for people: "RGB divided by 255"."""
    less = f" minus {spec.mean_values[0]:g}" if spec.mean_values else ""
    divided = f"{less} divided by {spec.scale_values[0]:g}" if spec.scale_values else less or ", as it is"
    return f"{spec.encoding_from}{divided}"


def as_options(spec: InputSpec) -> str:
    """The same as options of a conversion: "--scale-values 255 --encoding-from RGB"."""
    words = (("--mean-values", spec.mean_values), ("--scale-values", spec.scale_values))
    numbers = [f"{option} {values[0]:g}" for option, values in words if values]
    return " ".join([*numbers, f"--encoding-from {spec.encoding_from}"])
