"""The words of quantization: the precision by HubAI's names, how ranges are chosen, weights learned, images resized."""

from __future__ import annotations

from enum import StrEnum


class Precision(StrEnum):
    """Number formats of the converted model, by HubAI's names; INT8 and FP16 mean the standard ones.

    AUTO finds the fastest that keeps the accuracy; no converted model is of it.
    """

    AUTO = "AUTO"
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
    """How an activation's range is chosen from what was seen: all of it, or what loses least.

    BEST takes for each tensor the one of the others with which the quantized model agrees best with the float model.
    """

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    MSE = "mse"
    BEST = "best"


class Improvement(StrEnum):
    """How weights of 8 bits are learned from images: each rounded up or down, or each channel's scale."""

    ADAROUND = "adaround"
    SEQMSE = "seqmse"


class Resize(StrEnum):
    """How an image is brought to the input's size."""

    STRETCH = "stretch"
    CROP = "crop"
    PAD = "pad"
