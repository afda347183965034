"""The platforms that a conversion can be for, by the kind of its spec."""

from __future__ import annotations

from pathlib import Path

from oakmill.conversion.platform import Platform
from oakmill.errors import SourceError
from oakmill.model.sniff import identify
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.preflight.reach import refusal
from oakmill.settings import Settings
from oakmill.spec import AnySpec, Rvc3Spec, Rvc4Spec
from oakmill.toolchains.base import Toolchain


def of(spec: AnySpec, settings: Settings) -> Platform:
    """The conversion's platform, with what can be checked before the model is read.

    Raises:
        ArgumentRefused: an argument for a vendor's tool cannot be carried out.
        SpecError: values contradict each other.
        ToolchainMissing, VersionNotAvailable: there is nothing to compile with.
    """
    if isinstance(spec, Rvc4Spec):
        from oakmill.conversion.rvc4.platform import Rvc4

        return Rvc4.of(spec, settings)
    if isinstance(spec, Rvc3Spec):
        from oakmill.conversion.rvc3.platform import Rvc3

        return Rvc3.of(spec, settings)
    from oakmill.conversion.rvc2.platform import Rvc2

    return Rvc2.of(spec, settings)


def reading(platform: Platform, source: SourceModel) -> Platform:
    """The same conversion, as a source of this format needs it.

    Raises:
        UnsupportedModel: the platform cannot be reached from there.
        SpecError: a parameter says nothing to such a source, or it is quantized already.
        ToolchainMissing, ToolchainBroken: what reads it is not installed, or not whole.
    """
    if error := refusal(source, platform.name):
        raise error
    if source.format is not SourceFormat.OPENVINO_IR:
        return platform
    if isinstance(platform.spec, Rvc3Spec):
        from oakmill.conversion.rvc3.from_ir import Rvc3Ir
        from oakmill.conversion.rvc3.platform import Rvc3

        assert isinstance(platform, Rvc3)
        return Rvc3Ir.reading_ir(platform, source)
    from oakmill.conversion.rvc2.from_ir import Rvc2Ir
    from oakmill.conversion.rvc2.platform import Rvc2

    assert isinstance(platform, Rvc2)
    return Rvc2Ir.reading_ir(platform)


def needed_toolchains(spec: AnySpec, settings: Settings, model: Path | None = None) -> list[Toolchain]:
    """The toolchains that a conversion takes, installed or not; where the model's file is known, what reads it too.

    What an NN Archive holds is known only once it is unpacked.
    """
    if isinstance(spec, Rvc4Spec):
        from oakmill.conversion.rvc4.platform import needed_toolchains as rvc4

        return rvc4(spec, settings)
    if isinstance(spec, Rvc3Spec):
        from oakmill.conversion.rvc3.platform import needed_toolchains as rvc3

        return rvc3(spec, settings)
    from oakmill.conversion.rvc2.platform import needed_toolchains as rvc2

    return rvc2(spec, settings, reads_ir=bool(model and _is_ir(model)))


def _is_ir(model: Path) -> bool:
    try:
        return identify(model).format is SourceFormat.OPENVINO_IR
    except SourceError:  # reading it will say so
        return False
