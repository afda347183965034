"""Says which platform a source of another format than ONNX does not reach, and why; known before any work."""

from __future__ import annotations

from oakmill.errors import UnsupportedModel
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.spec.platforms import PLATFORMS


def refusal(source: SourceModel, platform: str) -> UnsupportedModel | None:
    """The error for a source that cannot be converted to a platform whatever is in it; None where it may be."""
    if source.format is not SourceFormat.OPENVINO_IR:
        return None
    facts = PLATFORMS[platform]
    wanted = facts.limits.ir_version
    if facts.limits.no_ir:
        why, remedy = facts.limits.no_ir, "give the ONNX model that the IR was made from"
    elif wanted and source.ir_version != wanted:
        why = f"it is of version {source.ir_version}, and {facts.title}'s tools write and take version {wanted}"
        remedy = "make it anew with the Model Optimizer of OpenVINO 2022.1 or later, or give the ONNX model"
    else:
        return None
    return UnsupportedModel(
        f"an OpenVINO IR cannot be converted to {facts.title}: {why}", subject=source.files[0].name, remedy=remedy
    )
