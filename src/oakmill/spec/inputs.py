"""What is asked of one input of the model: its shape, layout and the preprocessing to embed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Dimension = Annotated[int, Field(ge=1, le=1 << 20)]
Mean = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Scale = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_SCALE = (58.395, 57.12, 57.375)


def _words(values: tuple[float, ...]) -> str:
    return ",".join(map(str, values))


class Encoding(StrEnum):
    """The order of an image's colour channels; NONE is data that is not an image."""

    RGB = "RGB"
    BGR = "BGR"
    GRAY = "GRAY"
    NONE = "NONE"


class InputSpec(BaseModel):
    """One input. What is left out is taken from the model, or from the NN Archive that holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(None, description="Name of the input in the model; needed when there are several.")
    shape: Annotated[tuple[Dimension, ...], Field(min_length=1, max_length=6)] | None = Field(
        None, description="Input shape, batch first, in the source model's own layout: 1,3,224,224."
    )
    layout: Annotated[str, Field(pattern=r"^[A-Z]{1,6}$")] | None = Field(
        None,
        description="Meaning of the input's dimensions in the source model, one letter each: NCHW, NHWC, NC.",
    )
    mean_values: tuple[Mean, ...] | None = Field(
        None,
        description="Subtracted from each channel, in the source model's channel order; ImageNet: "
        f"{_words(IMAGENET_MEAN)}.",
    )
    scale_values: tuple[Scale, ...] | None = Field(
        None,
        description="Each channel is divided by it after the mean was subtracted, in the source model's channel "
        f"order; ImageNet: {_words(IMAGENET_SCALE)}.",
    )
    encoding_from: Encoding | None = Field(None, description="Colour order that the source model was trained on.")
    encoding_to: Encoding | None = Field(
        None, description="Colour order that the converted model is to take; cameras give BGR."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.scale_values is not None and any(value == 0 for value in self.scale_values):
            raise ValueError("scale values divide, so none may be 0")
        if self.shape and self.layout and len(self.shape) != len(self.layout):
            raise ValueError(
                f"shape {self.shape} has {len(self.shape)} dimensions, layout {self.layout} has {len(self.layout)}"
            )
        if self.layout and len(set(self.layout)) != len(self.layout):
            raise ValueError(f"layout {self.layout} names a dimension twice")
        colours = {Encoding.RGB, Encoding.BGR}
        if self.encoding_from in colours and self.encoding_to not in colours | {None}:
            raise ValueError(f"a model trained on {self.encoding_from} cannot take {self.encoding_to}")
        if self.encoding_to in colours and self.encoding_from not in colours | {None}:
            raise ValueError(f"a model trained on {self.encoding_from} cannot take {self.encoding_to}")
        return self
