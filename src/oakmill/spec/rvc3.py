"""What can be asked of a conversion to RVC3 (Intel Keem Bay, which its compiler calls VPUX.3400)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from oakmill.spec.conversion import QuantizingSpec
from oakmill.spec.quantization import Precision
from oakmill.spec.rvc2 import ToolArgument

Layer = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")]
LayerType = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]{0,99}$")]


class Quantizer(StrEnum):
    """The tool that quantizes: NNCF, or OpenVINO's Post-training Optimization Tool, which HubAI uses."""

    NNCF = "nncf"
    POT = "pot"


class PotTargetDevice(StrEnum):
    """Whose number formats the quantizer uses, by HubAI's names: Keem Bay's, or those that every device has."""

    VPU = "VPU"
    ANY = "ANY"


class Rvc3Spec(QuantizingSpec):
    """All parameters of a conversion to RVC3."""

    platform: Literal["rvc3"] = "rvc3"
    ir_version: Literal["2022.3.2"] = Field(
        "2022.3.2", description="OpenVINO version whose IR is written; there is one."
    )
    target_precision: Precision = Field(
        Precision.INT8_STANDARD,
        description="Number format of the converted model: INT8_STANDARD, FP16_STANDARD, or AUTO, the fastest of them "
        "that keeps the accuracy.",
    )
    quantizer: Quantizer = Field(
        Quantizer.NNCF,
        description="What quantizes: NNCF, or the Post-training Optimization Tool (POT) that HubAI uses; equal in "
        "accuracy, NNCF is the faster.",
    )
    pot_target_device: PotTargetDevice = Field(
        PotTargetDevice.VPU,
        description="Whose number formats the quantizer uses: VPU, Keem Bay's own, or ANY, for a model that fails "
        "with VPU. With NNCF, VPU means the target NPU and the preset MIXED, ANY the target ANY and the preset "
        "PERFORMANCE.",
    )
    ignored_names: Annotated[tuple[Layer, ...], Field(max_length=4096)] = Field(
        (),
        description="Exact name of a layer to leave in floating point; repeat for more.",
        json_schema_extra={"flag": "--ignored-name"},
    )
    ignored_types: Annotated[tuple[LayerType, ...], Field(max_length=256)] = Field(
        (),
        description="OpenVINO's name of a layer type to leave in floating point: Convolution, MatMul, Add; repeat "
        "for more.",
        json_schema_extra={"flag": "--ignored-type"},
    )
    accuracy_control: bool = Field(
        False,
        description="Put layers back into floating point until the quantized model agrees with the float one, "
        "measured without labels on a quarter of the quantization images.",
    )
    accuracy_drop: Annotated[float, Field(gt=0, le=1)] = Field(
        0.01, description="How much less than full agreement, 1, --accuracy-control accepts."
    )
    accuracy_seconds: Annotated[int, Field(ge=5, le=86400)] = Field(
        300, description="Time after which --accuracy-control takes what it has, in seconds."
    )
    mo_args: Annotated[tuple[ToolArgument, ...], Field(max_length=64)] = Field(
        (), description="Arguments for OpenVINO's Model Optimizer; they win over the defaults."
    )
    compile_tool_args: Annotated[tuple[ToolArgument, ...], Field(max_length=64)] = Field(
        (),
        description="Arguments for the vendor's compile_tool (-ip, -op, -iop, -il, -ol, -iol, -iml, -oml, -ioml); "
        "they win. Without that tool, they stand in the command that the build info names.",
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.target_precision not in (Precision.AUTO, Precision.INT8_STANDARD, Precision.FP16_STANDARD):
            raise ValueError(f"RVC3 has INT8_STANDARD, FP16_STANDARD and AUTO, not {self.target_precision}")
        said = self.ignored_names or self.ignored_types or self.accuracy_control
        if self.target_precision.is_float and said:
            raise ValueError(f"{self.target_precision} quantizes nothing: omit the quantizer's parameters")
        if self.accuracy_control and self.quantizer is Quantizer.POT:
            raise ValueError("accuracy control is NNCF's: omit --quantizer pot")
        return self
