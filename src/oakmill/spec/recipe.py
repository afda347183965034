"""The recipe: the lock file of a conversion, with all that is needed to make the same bytes again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from oakmill.spec.conversion import ConversionSpec
from oakmill.spec.inputs import Encoding
from oakmill.spec.platforms import PLATFORMS


def _own_kind(value: Any) -> Any:
    """A spec of the platform that plain data names."""
    if not isinstance(value, dict):
        return value
    facts = PLATFORMS.get(str(value.get("platform")))
    if facts is None:
        raise ValueError(f"there is no platform {value.get('platform')!r}; known are {', '.join(PLATFORMS)}")
    return facts.spec.model_validate(value)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRecord(_Record):
    """The source model, by content."""

    name: str = Field(description="File name of the source.")
    format: str = Field(description="Its format.")
    sha256: str = Field(description="Over the contents of its files, the graph first.")
    given: str = Field("", description="Name of the file that was given: the source itself, or what held it.")
    given_sha256: str = Field("", description="Its sha256.")


class InputRecord(_Record):
    """An input as it was decided; mean and scale are in the source model's channel order."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    encoding_from: Encoding
    encoding_to: Encoding
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None


class ControlRecord(_Record):
    """What NNCF's control of accuracy came to, as agreement with the float model from 0 to 1."""

    images: int
    agreement_before: float | None = Field(description="Fully quantized; null where that was not asked for.")
    agreement: float
    reached: bool
    out_of_time: bool


class SearchPoint(_Record):
    """One plan that was tried."""

    tensors: int = Field(description="How many tensors it keeps in 16 bits.")
    activations_mb: float = Field(description="What all activations take, in MB.")
    agreement_db: float = Field(description="How well it agrees with the float model.")


class Sensitivity(_Record):
    """A tensor, and the agreement that is left when it alone is rounded."""

    tensor: str
    agreement_db: float


class SearchRecord(_Record):
    """What the search for tensors in 16 bits found."""

    kept_in_16_bits: tuple[str, ...]
    curve: tuple[SearchPoint, ...]
    most_sensitive: tuple[Sensitivity, ...]
    complete: bool = Field(description="Whether all was tried in the time.")


class EqualizationRecord(_Record):
    """Whether channels were brought to like sizes before they were quantized, and what that does."""

    used: bool = Field(description="Whether it is done: it raises the agreement.")
    sites: int = Field(description="Layers whose channels have scales.")
    smallest_scale: float
    before_db: float = Field(description="Agreement of the quantized graph with the float model without it, in dB.")
    after_db: float = Field(description="The same with it.")


class RangesRecord(_Record):
    """Which way of choosing ranges was best, as the quantized graph agreed with the float model on held-back images."""

    method: str = Field(description="That of all tensors that are not among the others.")
    others: dict[str, str] = Field(description="Tensors with another method, and which.")
    agreement_db: dict[str, float] = Field(description="By method for all tensors, and `best` for the choice, in dB.")


class BiasesRecord(_Record):
    """Whether biases take back what rounding weights shifts, and what that does."""

    used: bool = Field(description="Whether it is done: it raises the agreement.")
    layers: int = Field(description="Layers whose biases differ then.")
    images: int = Field(description="How many images told what the layers read.")
    before_db: float = Field(description="Agreement of the quantized graph with the float model without it, in dB.")
    after_db: float = Field(description="The same with it.")


class ImprovementRecord(_Record):
    """Whether learned weights are better than those rounded to the nearest, on images that taught nothing."""

    used: bool = Field(description="Whether they are taken: they raise the agreement.")
    method: str
    steps: int = Field(description="Iterations, or candidates, for each layer.")
    images: int = Field(description="How many images taught.")
    layers: tuple[str, ...] = Field(description="The learned layers, by their weights, in their order.")
    complete: bool = Field(description="Whether there was time for all.")
    before_db: float = Field(description="Agreement of the quantized graph with the float model without it, in dB.")
    after_db: float = Field(description="The same with it.")


class CalibrationRecord(_Record):
    """What calibrated the quantization; what does not apply is not written down."""

    model_config = ConfigDict(extra="allow")  # earlier recipes may hold more

    set: str = Field("", description="Where the images come from.")
    method: str = Field("", description="How ranges were chosen.")
    quantizer: str = Field("", description="The tool, its version, target device and preset.")
    images: int = Field(0, description="How many calibrated.")
    control: ControlRecord | None = None
    ignored: tuple[str, ...] = Field((), description="Layers that stay in floating point.")
    names: tuple[str, ...] = Field((), description="The images' names, in order.")
    sha256: tuple[str, ...] = Field((), description="Their sha256, in the same order.")
    search: SearchRecord | None = None
    equalization: EqualizationRecord | None = None
    ranges: RangesRecord | None = None
    improvement: ImprovementRecord | None = None
    biases: BiasesRecord | None = None

    @model_serializer(mode="wrap")
    def _what_applies(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in plain(self).items() if value}


class ToolchainRecord(_Record):
    """A toolchain that took part."""

    name: str = Field(description="Its full name.")
    digest: str = Field(description="sha256 over its pinned and installed packages.")
    isolation: str = Field(description="How its tools were kept apart: bubblewrap, landlock or none.")


class Recipe(_Record):
    """Everything that decides the bytes of the result."""

    recipe_version: int = Field(1, description="Version of this document's form.")
    oakmill: str = Field(description="Oakmill's version.")
    code: str = Field("", description="sha256 over Oakmill's own code.")
    source: SourceRecord
    spec: Annotated[SerializeAsAny[ConversionSpec], BeforeValidator(_own_kind)] = Field(
        description="The parameters as they were asked for; `inputs` says what came of them.",
    )
    inputs: list[InputRecord] = Field(description="Each input as it was decided.")
    toolchains: list[ToolchainRecord]
    packages: dict[str, str] = Field(description="Versions of the packages that change the graph.")
    commands: list[str] = Field(description="The vendor tools' command lines, or the equal ones.")
    images: list[str] = Field(description="sha256 of each image that the result was measured on, in order.")
    calibration: CalibrationRecord = CalibrationRecord()
    files: dict[str, str] = Field(
        default_factory=dict, description="sha256 of the other files that parameters name, by the parameter."
    )
    artefact: dict[str, str] = Field(description="The result: file name and sha256.")

    def as_yaml(self) -> str:
        """The recipe as YAML."""
        import yaml

        return str(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110))
