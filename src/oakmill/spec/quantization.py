"""What is asked of quantization: the precision by HubAI's names, the data that teaches it, the ranges' method."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import Field

QuantizationData = Annotated[
    str | None,
    Field(
        description="Images that teach the quantization: a set's name (see `oakmill datasets list`), a folder, or a "
        "zip; or .npy/.raw files in the model's own layout. By default the set `general`."
    ),
]
LessonCount = Annotated[
    int, Field(ge=1, le=65536, description="How many of them are used at most, drawn with the seed.")
]
HeldOutCount = Annotated[
    int,
    Field(
        ge=1,
        le=4096,
        description="How many images the accuracy is measured on, never those that taught the quantization.",
        json_schema_extra={"flag": "--max-images"},
    ),
]


class Precision(StrEnum):
    """Number formats of the converted model, by HubAI's names; INT8 and FP16 mean the standard ones."""

    INT8_STANDARD = "INT8_STANDARD"
    INT8_ACCURACY_FOCUSED = "INT8_ACCURACY_FOCUSED"
    INT8_INT16_MIXED = "INT8_INT16_MIXED"
    INT8_INT16_MIXED_ACCURACY_FOCUSED = "INT8_INT16_MIXED_ACCURACY_FOCUSED"
    INT16_STANDARD = "INT16_STANDARD"
    FP16_STANDARD = "FP16_STANDARD"
    FP32_STANDARD = "FP32_STANDARD"
    CUSTOM = "CUSTOM"

    @classmethod
    def _missing_(cls, value: object) -> Precision | None:
        word = str(value).upper()
        return next((item for item in cls if word in (item.value, item.value.removesuffix("_STANDARD"))), None)

    @property
    def is_float(self) -> bool:
        """Whether nothing is quantized."""
        return self in (Precision.FP16_STANDARD, Precision.FP32_STANDARD)

    @property
    def activation_bits(self) -> int:
        """Bits of an activation, where activations are quantized."""
        return 16 if "INT16" in self.value else 8

    @property
    def weight_bits(self) -> int:
        """Bits of a weight, where weights are quantized."""
        return 16 if self is Precision.INT16_STANDARD else 8


class RangeMethod(StrEnum):
    """How an activation's range is chosen from what was seen: all of it, or what loses least."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    MSE = "mse"


class Resize(StrEnum):
    """How a picture is brought to the input's size."""

    STRETCH = "stretch"
    CROP = "crop"
    PAD = "pad"


class Quantizing(Protocol):
    """What every conversion that quantizes says of its images."""

    @property
    def quantization_data(self) -> str | None:
        """The set that teaches, by name or place."""

    @property
    def max_quantization_images(self) -> int:
        """How many of it are used at most."""

    @property
    def verification_images(self) -> Path | None:
        """The user's own images to measure on."""

    @property
    def max_verification_images(self) -> int:
        """How many images the accuracy is measured on."""

    @property
    def resize(self) -> Resize:
        """How a picture is brought to size."""

    @property
    def seed(self) -> int:
        """Of what is drawn."""
