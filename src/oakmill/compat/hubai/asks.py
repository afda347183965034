"""The bodies of HubAI's exports, and what each asks of our spec."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from oakmill.compat.hubai.inputs import InputIn
from oakmill.compat.hubai.lists import Word
from oakmill.compat.hubai.words import YoloVersion
from oakmill.compat.wire import Asked
from oakmill.errors import SpecError, VersionNotAvailable

Arguments = Annotated[list[Annotated[str, Field(max_length=2000)]], Field(max_length=64, default_factory=list)]

RVC3_VERSION = "2022.3.2"
"""The only OpenVINO that makes results for RVC3 here."""


class ExportIn(Asked):
    """What is asked of every export. There are no steps that `disable_onnx_optimization` could switch off."""

    name: Word
    quantization_data: Word | None = None
    max_quantization_images: Annotated[int, Field(ge=1)] | None = None
    quantization_dataset_split: None = None
    disable_onnx_simplification: bool | None = None
    disable_onnx_optimization: bool | None = None
    inputs: Annotated[list[InputIn], Field(max_length=64)] | None = None
    version: YoloVersion | None = None
    class_names: list[str] | None = None

    def values(self, *, legacy: bool) -> dict[str, Any]:
        """The parameters of our spec, but for inputs and calibration data.

        Raises:
            SpecError: something is asked for that is not done here.
        """
        if self.class_names:
            raise SpecError(
                "class_names: no head is written for a YOLO, so its classes would be lost.",
                subject="class_names",
                remedy="Upload an NN Archive, whose config has the head and its classes.",
            )
        if legacy and not isinstance(self, Rvc2In):
            raise SpecError("legacy: only RVC2 has a legacy export.", subject="legacy", remedy="Leave it away.")
        return {
            "max_quantization_images": self.max_quantization_images,
            "disable_onnx_simplification": bool(self.disable_onnx_simplification),
        }


class Rvc2In(ExportIn):
    """What is asked of an export to RVC2."""

    mo_args: Arguments
    compile_tool_args: Arguments
    superblob: bool | None = None
    number_of_shaves: Annotated[int, Field(ge=1, le=16)] | None = None
    ir_version: Word | None = None

    def values(self, *, legacy: bool) -> dict[str, Any]:
        """The same, and what RVC2 takes.

        Raises:
            SpecError: something is asked for that is not done here.
        """
        if legacy and self.superblob:
            raise SpecError("legacy and superblob contradict each other.", subject="legacy", remedy="Keep one of them.")
        if self.quantization_data is not None:
            raise SpecError("RVC2 quantizes nothing.", subject="quantization_data", remedy="Leave it away.")
        return super().values(legacy=legacy) | {
            "mo_args": self.mo_args,
            "compile_tool_args": self.compile_tool_args,
            "blob": legacy or self.superblob is False,
            "number_of_shaves": self.number_of_shaves,
            "ir_version": self.ir_version,
        }


class Rvc3In(ExportIn):
    """What is asked of an export to RVC3."""

    mo_args: Arguments
    compile_tool_args: Arguments
    pot_target_device: Literal["VPU", "ANY"] | None = None
    ir_version: Word | None = None

    def values(self, *, legacy: bool) -> dict[str, Any]:
        """The same, and what RVC3 takes.

        Raises:
            SpecError: something is asked for that is not done here.
        """
        if self.ir_version not in (None, RVC3_VERSION):
            raise VersionNotAvailable(
                f"IR version {self.ir_version} is not available for RVC3: here is {RVC3_VERSION}.",
                subject="ir_version",
                remedy="Leave the tool version away.",
            )
        return super().values(legacy=legacy) | {
            "mo_args": self.mo_args,
            "compile_tool_args": self.compile_tool_args,
            "pot_target_device": self.pot_target_device,
        }


class Rvc4In(ExportIn):
    """What is asked of an export to RVC4."""

    target_precision: Word | None = None
    snpe_onnx_to_dlc_args: Arguments
    snpe_dlc_quant_args: Arguments
    snpe_dlc_graph_prepare_args: Arguments
    snpe_version: Word | None = None

    def values(self, *, legacy: bool) -> dict[str, Any]:
        """The same, and what RVC4 takes.

        Raises:
            SpecError: something is asked for that is not done here.
        """
        return super().values(legacy=legacy) | {
            "target_precision": self.target_precision,
            "snpe_onnx_to_dlc_args": self.snpe_onnx_to_dlc_args,
            "snpe_dlc_quant_args": self.snpe_dlc_quant_args,
            "snpe_dlc_graph_prepare_args": self.snpe_dlc_graph_prepare_args,
            "snpe_version": self.snpe_version,
        }
