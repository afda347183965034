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
    if not facts.limits.no_ir:
        return None
    return UnsupportedModel(
        f"an OpenVINO IR cannot be converted to {facts.title}: {facts.limits.no_ir}",
        subject=source.files[0].name,
        remedy="give the ONNX model that the IR was made from",
    )
