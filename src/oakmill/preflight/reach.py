"""Says which platform a source of another format than ONNX does not reach, and why; known before any work."""

from __future__ import annotations

from oakmill.errors import UnsupportedModel
from oakmill.model.source import SourceFormat, SourceModel

RVC3_IR = 11
"""The version of IR that RVC3's tools write and take."""


def refusal(source: SourceModel, platform: str) -> UnsupportedModel | None:
    """The error for a source that cannot be converted to a platform whatever is in it; None where it may be."""
    if source.format is not SourceFormat.OPENVINO_IR:
        return None
    if platform == "rvc4":
        why = "Qualcomm's tools read ONNX, and no maintained converter leads from OpenVINO's format back to it"
        remedy = "give the ONNX model that the IR was made from"
    elif platform == "rvc3" and source.ir_version != RVC3_IR:
        why = f"it is of version {source.ir_version}, and RVC3's tools write and take version {RVC3_IR}"
        remedy = "make it anew with the Model Optimizer of OpenVINO 2022.1 or later, or give the ONNX model"
    else:
        return None
    return UnsupportedModel(
        f"an OpenVINO IR cannot be converted to {platform.upper()}: {why}",
        subject=source.files[0].name,
        remedy=remedy,
    )
