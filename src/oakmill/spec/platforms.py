"""The platforms as far as a request and its checks know them: one row each, from which CLI, API, pages and docs derive.

How a conversion to each runs stands beside, in `oakmill.conversion.registry`, whose rows hold these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from oakmill.spec.conversion import ConversionSpec, QuantizingSpec
from oakmill.spec.quantization import Precision
from oakmill.spec.rvc2 import Rvc2Spec
from oakmill.spec.rvc3 import Rvc3Spec
from oakmill.spec.rvc4 import Rvc4Spec
from oakmill.spec.yaml_blocks import NO_BLOCK, RVC2, RVC3, RVC4, Block


@dataclass(frozen=True)
class Tools:
    """The versions of a platform's toolchain: the spec's field that names one, and how its toolchains are called.

    `others` are versions that only a user's own software has, which `setting` names.
    """

    field: str
    prefix: str
    others: tuple[str, ...] = ()
    setting: str = ""


@dataclass(frozen=True)
class Limits:
    """What is known of a device and its compiler before a conversion.

    `mode` is the number format that the table of operators is asked for where nothing else is said. `memory_mb` is
    what the weights may take as they are stored, None where nobody knows; `larger` says what else may hold them. An
    OpenVINO IR is refused for the reason `no_ir`, if there is one. Where `tells_wrong`, an operator that computes
    something else is told and not refused. With `channels_last`, the device feeds images as NHWC, to inputs of four
    dimensions. Where `plain_numbers`, inputs of other whole numbers than int32 become int32. With `no_constants`, there
    are no outputs that are the same whatever comes in.
    """

    mode: str
    memory_mb: int | None = None
    larger: str = "use a smaller model"
    no_ir: str = ""
    tells_wrong: bool = False
    channels_last: bool = False
    plain_numbers: bool = False
    no_constants: bool = False


@dataclass(frozen=True)
class PlatformFacts:
    """A platform: its title, the cameras that have it, a sentence on it, and what can be asked of a conversion to it.

    `yaml_block` reads its own keys in a configuration of Luxonis' modelconverter. `own_tools` are the settings that
    name a vendor's tools of the user's own. `offered` are values that people are offered first, where the request's own
    default is what other programs rely on: HubAI's clients mean INT8 where they say nothing.
    """

    title: str
    devices: str
    about: str
    spec: type[ConversionSpec]
    limits: Limits
    tools: Tools | None = None
    yaml_block: Block = NO_BLOCK
    own_tools: tuple[str, ...] = ()
    offered: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As it is written everywhere: rvc2."""
        return self.spec.platform_name()

    @property
    def quantizes(self) -> bool:
        """Whether images can calibrate a conversion to it."""
        return issubclass(self.spec, QuantizingSpec)


_ROWS = (
    PlatformFacts(
        title="RVC2",
        devices="OAK-1, OAK-D and their family",
        about="Intel MyriadX. FP16, no calibration images.",
        spec=Rvc2Spec,
        # RVC2's memory, which holds weights in FP16, activations and firmware.
        limits=Limits(
            "fp16",
            memory_mb=512,
            larger="use a smaller model, or convert to RVC4",
            plain_numbers=True,
        ),
        tools=Tools("ir_version", "rvc2/openvino-", ("2021.4.2",), "an OpenVINO of yours: OAKMILL_RVC2_LIBRARIES"),
        yaml_block=RVC2,
        own_tools=("rvc2_libraries",),
    ),
    PlatformFacts(
        title="RVC3",
        devices="OAK-D-3 series",
        about="Intel Keem Bay. INT8 or FP16; without the vendor's compiler, an IR.",
        spec=Rvc3Spec,
        limits=Limits("ir"),
        tools=Tools("ir_version", "rvc3/openvino-"),
        yaml_block=RVC3,
        own_tools=("rvc3_compile_tool", "rvc3_container"),
    ),
    PlatformFacts(
        title="RVC4",
        devices="OAK4 series",
        about="Qualcomm QCS8550. INT8, INT16 or FP16.",
        spec=Rvc4Spec,
        limits=Limits(
            "int8",
            memory_mb=3500,  # a plain zip, which older readers of a DLC want, holds 4 GB
            no_ir="Qualcomm's tools read ONNX, and no maintained converter leads from OpenVINO's format back to it",
            tells_wrong=True,  # its check of the numbers may let it pass, where they are integers
            channels_last=True,
            plain_numbers=True,
            no_constants=True,
        ),
        tools=Tools("snpe_version", "rvc4/qairt-"),
        yaml_block=RVC4,
        own_tools=("qairt_root",),
        offered={"target_precision": Precision.AUTO.value},
    ),
)

PLATFORMS: dict[str, PlatformFacts] = {row.name: row for row in _ROWS}
"""All platforms by name, in the order in which people see them."""


def spec_kinds() -> list[type[ConversionSpec]]:
    """The specs of all platforms."""
    return [row.spec for row in PLATFORMS.values()]


@dataclass(frozen=True)
class _Known:
    """That a word names a platform, of those that there are when it is asked."""

    words: Callable[[], list[str]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "enum": self.words()}

    def check(self, word: str) -> str:
        """The word itself."""
        if word not in self.words():
            raise PydanticCustomError("enum", "not {expected}", {"expected": f"one of {', '.join(self.words())}"})
        return word


def titles() -> list[str]:
    """The titles of all platforms, which are HubAI's words for them."""
    return [row.title for row in PLATFORMS.values()]


PlatformName = Annotated[str, _Known(lambda: list(PLATFORMS))]
"""The name of a platform in a request: rvc2."""
PlatformTitle = Annotated[str, _Known(titles)]
"""Its title: RVC2."""
