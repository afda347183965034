"""What can be asked of a conversion to RVC4 (Qualcomm QCS8550: OAK4)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from oakmill.spec.conversion import QuantizingSpec
from oakmill.spec.quantization import Improvement, Precision, RangeMethod
from oakmill.spec.rvc2 import ToolArgument

PROOF_IMAGES, PROOF_SECONDS = 4, 40
"""Images that the emulated processor runs, and within which time; where more are asked for, all of them. A slow network
took 167 s for four, of which the first shows nearly all."""

Version = Annotated[str, Field(pattern=r"^\d+(\.\d+){1,3}$")]
Soc = Literal["qcs8550", "sm8550", "sm8650", "sm8750"]
Override = Annotated[str, Field(pattern=r"^.+=(int8|int16)$", max_length=2000)]


class Rvc4Spec(QuantizingSpec):
    """All parameters of a conversion to RVC4."""

    platform: Literal["rvc4"] = "rvc4"
    snpe_version: Version = Field(
        "2.51",
        description="SNPE/QAIRT version that compiles; see `oakmill toolchains list` for what is installed.",
    )
    range_method: RangeMethod | None = Field(
        None,
        description="How an activation's range is chosen; by default minmax, in INT8_ACCURACY_FOCUSED best, and in "
        "INT8_INT16_MIXED_ACCURACY_FOCUSED mse. best tries the others for each tensor on images held back, and takes "
        "what the quantized model agrees best with.",
    )
    per_tensor_weights: bool = Field(
        False, description="One scale for each weight tensor, instead of one for each output channel."
    )
    no_equalization: bool = Field(
        False,
        description="Quantize the channels of activations as they are. Else they are brought to like sizes first, "
        "where measured agreement rises by it: exact in floating point, the scales stand in the weights.",
    )
    no_bias_correction: bool = Field(
        False,
        description="Leave biases as they are. Else they take back what rounding weights shifts on average, where "
        "measured agreement rises by it.",
    )
    raw_layout: Literal["NHWC"] | None = Field(
        None,
        description="Layout of images in .raw files, which say none: NHWC as snpe-dlc-quant reads them; by default the "
        "source model's own.",
    )
    aimet_encodings: Path | None = Field(
        None, description="AIMET's encodings file (JSON) for CUSTOM: ranges and bits by the tensor's name."
    )
    tensor_overrides: Annotated[tuple[Override, ...], Field(max_length=4096)] = Field(
        (),
        description="NAME=int16 or NAME=int8: another number format for one tensor of the prepared model.",
        json_schema_extra={"flag": "--tensor"},
    )
    silu_int16: bool = Field(
        False,
        description="Keep what goes into SiLU (x * sigmoid(x)) in 16 bits, where detectors lose most. Few layers of 16 "
        "bits among 8 can take longer on the device than INT8_INT16_MIXED, which has 16 everywhere.",
    )
    quantizer_search: bool = Field(
        False,
        description="Find by measuring, without labels, which tensors to keep in 16 bits, and keep those.",
    )
    search_seconds: Annotated[int, Field(ge=5, le=86400)] = Field(
        300, description="Time that --quantizer-search may take, in seconds."
    )
    improve: Improvement | None = Field(
        None,
        description="Learn from images that calibrate how weights are rounded: adaround, each one up or down, or "
        "seqmse, the scale of each channel. Kept only where the quantized model then agrees better on images held "
        "back. Takes minutes to hours, and the toolchain quantizers/aimet.",
    )
    improve_minutes: Annotated[int, Field(ge=1, le=10080)] = Field(
        30, description="After so many minutes --improve begins no other layer."
    )
    proof_images: Annotated[int, Field(ge=1, le=16)] = Field(
        PROOF_IMAGES,
        description="Images on which the finished file is run by the vendor's own HTP library, emulated and slow: up "
        f"to {PROOF_IMAGES} within {PROOF_SECONDS} s, more however long they take.",
    )
    device_runtime: Version | None = Field(
        None,
        description="QAIRT version on the device. The file gets a prepared cache only if the compiler is not newer; "
        "without it, the device prepares the graph itself when it loads the file.",
    )
    htp_socs: Annotated[tuple[Soc, ...], Field(min_length=1, max_length=4)] = Field(
        ("qcs8550",), description="Chips that a prepared cache is made for; OAK4 has the qcs8550."
    )
    snpe_onnx_to_dlc_args: Annotated[tuple[ToolArgument, ...], Field(max_length=64)] = Field(
        (), description="Arguments as snpe-onnx-to-dlc takes them; they win over the defaults."
    )
    snpe_dlc_quant_args: Annotated[tuple[ToolArgument, ...], Field(max_length=64)] = Field(
        (), description="Arguments as snpe-dlc-quant takes them; they win over the defaults."
    )
    snpe_dlc_graph_prepare_args: Annotated[tuple[ToolArgument, ...], Field(max_length=64)] = Field(
        (), description="Arguments as snpe-dlc-graph-prepare takes them; they win over the defaults."
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        custom = self.target_precision is Precision.CUSTOM
        if custom and self.aimet_encodings is None:
            raise ValueError("CUSTOM needs AIMET's encodings: --aimet-encodings FILE")
        if self.aimet_encodings is not None and not custom:
            raise ValueError("encodings of AIMET are for --target-precision CUSTOM")
        asked = self.tensor_overrides or self.quantizer_search or self.range_method or self.silu_int16 or self.improve
        if self.target_precision.is_float and asked:
            raise ValueError(f"{self.target_precision} quantizes nothing: omit the quantizer's parameters")
        own = self.per_tensor_weights or custom or self.target_precision is Precision.INT16_STANDARD
        if self.improve and own:
            raise ValueError(
                "improve learns weights of 8 bits with a scale for each channel: omit it, or what says otherwise"
            )
        return self

    @property
    def ranges(self) -> RangeMethod:
        """The method in effect."""
        by_precision = {
            Precision.INT8_ACCURACY_FOCUSED: RangeMethod.BEST,
            Precision.INT8_INT16_MIXED_ACCURACY_FOCUSED: RangeMethod.MSE,
        }
        return self.range_method or by_precision.get(self.target_precision, RangeMethod.MINMAX)
