"""The bodies of HubAI's exports, and what each asks of our spec."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from oakmill.compat.hubai.inputs import InputIn
from oakmill.compat.hubai.lists import Word
from oakmill.compat.hubai.words import YoloVersion
from oakmill.compat.wire import Asked
from oakmill.errors import SpecError, VersionNotAvailable
from oakmill.spec.platforms import PLATFORMS

Arguments = Annotated[list[Annotated[str, Field(max_length=2000)]], Field(max_length=64, default_factory=list)]

_QUANTIZING = ("quantization_data", "max_quantization_images")
RVC3_VERSION = "2022.3.2"
"""The only OpenVINO that makes results for RVC3 here."""


class ExportIn(Asked):
    """What is asked of every export. There are no steps that `disable_onnx_optimization` could switch off."""

    platform: ClassVar[str]
    name: Word
    quantization_data: Word | None = None
    max_quantization_images: Annotated[int, Field(ge=1)] | None = None
    quantization_dataset_split: None = None
    disable_onnx_simplification: bool | None = None
    disable_onnx_optimization: bool | None = None
    inputs: Annotated[list[InputIn], Field(max_length=10_000)] | None = None
    version: YoloVersion | None = None
    class_names: list[str] | None = None

    def values(self, *, legacy: bool) -> dict[str, Any]:
        """The parameters of our spec, but for inputs and calibration data.

        Raises:
            SpecError: something is asked for that is not done here.
        """
        if legacy and "blob" not in self._own:
            raise SpecError("legacy: only RVC2 has a legacy export.", subject="legacy", remedy="Omit it.")
        passed = {name: getattr(self, name) for name in self._own & set(type(self).model_fields)}
        return passed | {
            "class_names": self.class_names or [],
            **({} if self.unused else {"max_quantization_images": self.max_quantization_images}),
            "disable_onnx_simplification": bool(self.disable_onnx_simplification),
        }

    @property
    def unused(self) -> tuple[str, ...]:
        """What was asked for and changes nothing, which its job tells: the client's command line sends it to all."""
        quantizes = PLATFORMS[self.platform].quantizes
        return () if quantizes else tuple(name for name in _QUANTIZING if getattr(self, name) is not None)

    @property
    def _own(self) -> set[str]:
        """The parameters of the platform's spec, but for those that are read elsewhere."""
        return set(PLATFORMS[self.platform].spec.model_fields) - {"name", "inputs", "quantization_data"}


class Rvc2In(ExportIn):
    """Convert for RVC2: a superblob, or with `legacy` a blob for some SHAVEs."""

    platform: ClassVar[str] = "rvc2"
    mo_args: Arguments
    compile_tool_args: Arguments
    superblob: bool | None = None
    number_of_shaves: Annotated[int, Field(ge=1, le=16)] | None = None
    ir_version: Word | None = None

    def values(self, *, legacy: bool) -> dict[str, Any]:
        """The same; a blob is what is no superblob.

        Raises:
            SpecError: something is asked for that is not done here.
        """
        if legacy and self.superblob:
            raise SpecError("legacy and superblob contradict each other.", subject="legacy", remedy="Keep one of them.")
        return super().values(legacy=legacy) | {"blob": legacy or self.superblob is False}


class Rvc3In(ExportIn):
    """Convert for RVC3."""

    platform: ClassVar[str] = "rvc3"
    mo_args: Arguments
    compile_tool_args: Arguments
    pot_target_device: Literal["VPU", "ANY"] | None = None
    ir_version: Word | None = None

    def values(self, *, legacy: bool) -> dict[str, Any]:
        """The same, with the only version that there is.

        Raises:
            SpecError: something is asked for that is not done here.
        """
        if self.ir_version not in (None, RVC3_VERSION):
            raise VersionNotAvailable(
                f"IR version {self.ir_version} is not available for RVC3: here is {RVC3_VERSION}.",
                subject="ir_version",
                remedy="Omit the tool version.",
            )
        return super().values(legacy=legacy)


class Rvc4In(ExportIn):
    """Convert for RVC4."""

    platform: ClassVar[str] = "rvc4"
    target_precision: Word | None = None
    snpe_onnx_to_dlc_args: Arguments
    snpe_dlc_quant_args: Arguments
    snpe_dlc_graph_prepare_args: Arguments
    snpe_version: Word | None = None
