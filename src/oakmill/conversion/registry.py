"""The one list of platforms: a row says how a conversion to each runs; a new platform is a folder and a row.

A row loads its platform's code only when it is asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from oakmill.errors import SourceError
from oakmill.model.sniff import identify
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.preflight.reach import refusal
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec
from oakmill.spec.platforms import PLATFORMS, PlatformFacts
from oakmill.toolchains import catalog
from oakmill.toolchains.base import Toolchain

if TYPE_CHECKING:
    from oakmill.conversion.finished import Finished
    from oakmill.conversion.platform import Platform

ReadArguments = Callable[[Sequence[str]], object]
"""Reads arguments for a vendor's tool by its allow-list; raises ArgumentRefused."""


@dataclass(frozen=True)
class Outcome:
    """What comes out of a conversion here, and what cannot be done here, for people."""

    made: str
    limit: str = ""


@dataclass(frozen=True)
class Row:
    """A platform: what can be asked of it, what converts, every version of its toolchains (the default first).

    `finished` knows what looks at a finished file again, by the file. `of_ir` is the same conversion for an OpenVINO
    IR. `arguments` reads each field of arguments for a vendor's tool.
    """

    facts: PlatformFacts
    load: Callable[[], type[Platform]]
    toolchains: Callable[[Settings], list[Toolchain]]
    outcome: Callable[[Settings], Outcome]
    finished: Callable[[Path], type[Finished]]
    of_ir: Callable[[Platform, SourceModel], Platform] = lambda platform, source: platform
    arguments: Callable[[Settings], Mapping[str, ReadArguments]] = lambda settings: {}


def _rvc2() -> type[Platform]:
    from oakmill.conversion.rvc2.platform import Rvc2

    return Rvc2


def _rvc2_of_ir(platform: Platform, source: SourceModel) -> Platform:
    from oakmill.conversion.rvc2.from_ir import Rvc2Ir
    from oakmill.conversion.rvc2.platform import Rvc2

    assert isinstance(platform, Rvc2)
    return Rvc2Ir.reading_ir(platform)


def _rvc2_arguments(settings: Settings) -> Mapping[str, ReadArguments]:
    from oakmill.toolchains.model_optimizer import options
    from oakmill.toolchains.rvc2 import compile_tool

    return {"mo_args": options.read, "compile_tool_args": compile_tool.read}


def _rvc2_finished(file: Path) -> type[Finished]:
    from oakmill.conversion.rvc2.finished import Finished

    return Finished


def _rvc2_outcome(settings: Settings) -> Outcome:
    return Outcome(
        "A .superblob or .blob, compiled for the Myriad X; its numbers are checked on the CPU beforehand.",
        "No device is here: speed, and the blob's own arithmetic of 16 bits, are not measured.",
    )


def _rvc3() -> type[Platform]:
    from oakmill.conversion.rvc3.platform import Rvc3

    return Rvc3


def _rvc3_of_ir(platform: Platform, source: SourceModel) -> Platform:
    from oakmill.conversion.rvc3.from_ir import Rvc3Ir
    from oakmill.conversion.rvc3.platform import Rvc3

    assert isinstance(platform, Rvc3)
    return Rvc3Ir.reading_ir(platform, source)


def _rvc3_arguments(settings: Settings) -> Mapping[str, ReadArguments]:
    from oakmill.toolchains.model_optimizer import options
    from oakmill.toolchains.rvc3 import compile_tool

    return {"mo_args": options.read, "compile_tool_args": compile_tool.read}


def _rvc3_finished(file: Path) -> type[Finished]:
    from oakmill.conversion.rvc3.finished import Finished, FinishedBlob

    return FinishedBlob if file.suffix == ".blob" else Finished


def _rvc3_outcome(settings: Settings) -> Outcome:
    if settings.rvc3_compile_tool or settings.rvc3_container:
        return Outcome("A compiled .blob, by the vendor's own tool.")
    return Outcome(
        "An OpenVINO IR, quantized, not compiled.",
        "No public compiler for RVC3 exists. Oakmill hands out the IR and says so; where you have the vendor's, set "
        "OAKMILL_RVC3_COMPILE_TOOL or OAKMILL_RVC3_CONTAINER.",
    )


def _rvc4() -> type[Platform]:
    from oakmill.conversion.rvc4.platform import Rvc4

    return Rvc4


def _rvc4_arguments(settings: Settings) -> Mapping[str, ReadArguments]:
    from oakmill.toolchains.rvc4 import sdk_install, snpe_arguments

    has_sdk = settings.qairt_root is not None or bool(sdk_install.installed(settings))
    read = partial(snpe_arguments.read, sdk=has_sdk, files=False)
    return {
        "snpe_onnx_to_dlc_args": lambda words: read(onnx_to_dlc=words),
        "snpe_dlc_quant_args": lambda words: read(quant=words),
        "snpe_dlc_graph_prepare_args": lambda words: read(graph_prepare=words),
    }


def _rvc4_finished(file: Path) -> type[Finished]:
    from oakmill.conversion.rvc4.finished import Finished

    return Finished


def _rvc4_outcome(settings: Settings) -> Outcome:
    return Outcome(
        "A .dlc, which the device prepares for itself; executed here on x86 to prove its accuracy.",
        f"Compiled with your own SDK in {settings.qairt_root}."
        if settings.qairt_root
        else "The QAIRT versions on devices (2.41.0, 2.32.6) need Qualcomm's SDK: installed once you accept its "
        "licence, or your own (OAKMILL_QAIRT_ROOT). No device is here: its speed cannot be measured.",
    )


ROWS: dict[str, Row] = {}
"""All platforms by name, in the order in which people see them."""


def add(row: Row) -> None:
    """Make a platform known to every room."""
    ROWS[row.facts.name] = row
    PLATFORMS[row.facts.name] = row.facts
    catalog.MAKERS[row.facts.name] = row.toolchains


for _row in (
    Row(PLATFORMS["rvc2"], _rvc2, catalog.rvc2, _rvc2_outcome, _rvc2_finished, _rvc2_of_ir, _rvc2_arguments),
    Row(PLATFORMS["rvc3"], _rvc3, catalog.rvc3, _rvc3_outcome, _rvc3_finished, _rvc3_of_ir, _rvc3_arguments),
    Row(PLATFORMS["rvc4"], _rvc4, catalog.rvc4, _rvc4_outcome, _rvc4_finished, arguments=_rvc4_arguments),
):
    add(_row)


def of(spec: ConversionSpec, settings: Settings) -> Platform:
    """The conversion's platform, with what can be checked before the model is read.

    Raises:
        ArgumentRefused: an argument for a vendor's tool cannot be carried out.
        SpecError: values contradict each other.
        ToolchainMissing, VersionNotAvailable: there is nothing to compile with.
    """
    return ROWS[spec.platform].load().of(spec, settings)


def reading(platform: Platform, source: SourceModel) -> Platform:
    """The same conversion, as a source of this format needs it.

    Raises:
        UnsupportedModel: the platform cannot be reached from there.
        SpecError: a parameter does not apply to such a source, or it is quantized already.
        ToolchainMissing, ToolchainBroken: what reads it is not installed, or not whole.
    """
    if error := refusal(source, platform.name):
        raise error
    return ROWS[platform.name].of_ir(platform, source) if source.format is SourceFormat.OPENVINO_IR else platform


def needed_toolchains(spec: ConversionSpec, settings: Settings, model: Path | None = None) -> list[Toolchain]:
    """The toolchains that a conversion takes, installed or not; where the model's file is known, what reads it too.

    What an NN Archive holds is known only once it is unpacked.
    """
    return ROWS[spec.platform].load().needed(spec, settings, reads_ir=bool(model and _is_ir(model)))


def _is_ir(model: Path) -> bool:
    try:
        return identify(model).format is SourceFormat.OPENVINO_IR
    except SourceError:  # reading it will say so
        return False
