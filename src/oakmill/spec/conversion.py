"""What every conversion has in common, whatever the platform."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from oakmill.spec.class_names import LONGEST, MOST, given
from oakmill.spec.inputs import InputSpec
from oakmill.spec.quantization import Precision, Resize

OutputName = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")]
ClassName = Annotated[str, Field(min_length=1, max_length=LONGEST)]


class OutputFormat(StrEnum):
    """How the result is wrapped."""

    NN_ARCHIVE = "nn_archive"
    NATIVE = "native"


class ConversionSpec(BaseModel):
    """The parameters that all platforms share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/\\\x00-\x1f]+$")] | None = Field(
        None, description="Instance name: names the result; by default the source's name and the platform."
    )
    inputs: Annotated[tuple[InputSpec, ...], Field(max_length=64)] = Field(
        (),
        description="Shape, layout and preprocessing of each input; what is left out comes from the model.",
    )
    outputs: Annotated[tuple[OutputName, ...], Field(max_length=256)] = Field(
        (),
        description="Name of a tensor (or node) that the network is to end at; repeat for more. By default, the "
        "model's own outputs.",
        json_schema_extra={"flag": "--outputs"},
    )
    keep_outputs: bool = Field(
        False,
        description="Keep a recognised detector's own outputs, instead of ending it where DepthAI's parser reads it.",
    )
    head: Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9-]+$")] | None = Field(
        None,
        description="Family of the network's head, where it is recognised only as likely: a note of the conversion "
        "says which. By default, what is certain.",
    )
    class_names: Annotated[tuple[ClassName, ...], BeforeValidator(given), Field(max_length=MOST)] = Field(
        (),
        description="Names of the classes, in their order: coco, imagenet, names with commas between them, or a file "
        "with one a line (or a YAML or JSON list). By default, those that the model or its NN Archive has.",
        json_schema_extra={"flag": "--classes"},
    )
    disable_onnx_simplification: bool = Field(
        False,
        description="Leave the ONNX graph as it is, instead of folding constants and removing what is redundant.",
    )
    output_format: OutputFormat = Field(
        OutputFormat.NN_ARCHIVE,
        description="An NN Archive with config, build info and recipe, or the bare file.",
        json_schema_extra={"flag": "--format"},
    )
    verification_images: Path | None = Field(
        None,
        description="Images for the accuracy passport: a folder, with a sub-folder for each input where there are "
        "several, or one file; generated ones by default.",
        json_schema_extra={"flag": "--images"},
    )
    max_verification_images: Annotated[int, Field(ge=1, le=4096)] = Field(
        64,
        description="How many images the accuracy is measured on, drawn with the seed, never those that calibrated the "
        "quantization; at most 8 of generated ones.",
        json_schema_extra={"flag": "--max-images"},
    )
    max_drop: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        None,
        description="How much of the task's metric may be lost, in parts of 1 (0.01 is a point): top-1, AP, mean IoU "
        "or texts where the images are labelled, else the agreement with the float model. More is an error, and AUTO "
        "goes on to the next format. By default AUTO allows 0.01 where there are labels, and else what the passport "
        "calls ok.",
    )
    resize: Resize = Field(
        Resize.CROP,
        description="How images are brought to the input's size: stretch ignores proportions, crop cuts what is too "
        "long, pad adds black.",
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = Field(
        0, description="Seed of everything that is drawn at random."
    )
    platform: str = ""
    """What it is for; each platform's own spec says it."""

    @classmethod
    def platform_name(cls) -> str:
        """The platform that a spec of this kind is for."""
        return str(cls.model_fields["platform"].default)

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        names = [item.name for item in self.inputs]
        if len(names) > 1 and None in names:
            raise ValueError("with several inputs, each needs its name")
        if self.head and (self.keep_outputs or self.outputs):
            raise ValueError("head says where the network is to end, and keep_outputs or outputs say otherwise")
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"input {sorted(map(str, twice))[0]!r} is described twice")
        return self


class QuantizingSpec(ConversionSpec):
    """The parameters that the platforms share which can quantize."""

    target_precision: Precision = Field(
        Precision.INT8_STANDARD,
        description="Number format of the converted model; INT8 and FP16 mean the standard ones. AUTO tries the "
        "fastest first, and takes the first whose accuracy passport is ok.",
    )
    quantization_data: str | None = Field(
        None,
        description="Images that calibrate the quantization: a set's name (see `oakmill datasets list`), a folder, or "
        "a zip; or .npy/.raw files in the model's own layout. By default the set `general`.",
    )
    max_quantization_images: Annotated[int, Field(ge=1, le=65536)] = Field(
        256, description="How many of them are used at most, drawn with the seed."
    )
