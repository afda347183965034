"""The platforms that a conversion can be for, by the kind of its spec."""

from __future__ import annotations

from pathlib import Path

from oakmill.conversion.platform import Platform
from oakmill.errors import SourceError
from oakmill.model.sniff import identify
from oakmill.model.source import SourceFormat
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
        from oakmill.conversion.rvc4 import Rvc4

        return Rvc4.of(spec, settings)
    if isinstance(spec, Rvc3Spec):
        from oakmill.conversion.rvc3 import Rvc3

        return Rvc3.of(spec, settings)
    from oakmill.conversion.rvc2 import Rvc2

    return Rvc2.of(spec, settings)


def needed_toolchains(spec: AnySpec, settings: Settings, model: Path | None = None) -> list[Toolchain]:
    """The toolchains that a conversion takes, installed or not; where the model's file is known, what reads it too.

    What an NN Archive holds is known only once it is unpacked.
    """
    if isinstance(spec, Rvc4Spec):
        from oakmill.conversion import rvc4

        return rvc4.needed_toolchains(spec, settings)
    if isinstance(spec, Rvc3Spec):
        from oakmill.conversion import rvc3

        return rvc3.needed_toolchains(spec, settings)
    from oakmill.conversion import rvc2

    return rvc2.needed_toolchains(spec, settings, reads_ir=bool(model and _is_ir(model)))


def _is_ir(model: Path) -> bool:
    try:
        return identify(model).format is SourceFormat.OPENVINO_IR
    except SourceError:  # reading it will say so
        return False
