"""The platforms that a conversion can be for, by the kind of its spec."""

from __future__ import annotations

from oakmill.conversion.platform import Platform
from oakmill.settings import Settings
from oakmill.spec import AnySpec, Rvc4Spec
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
    from oakmill.conversion.rvc2 import Rvc2

    return Rvc2.of(spec, settings)


def needed_toolchains(spec: AnySpec, settings: Settings) -> list[Toolchain]:
    """The toolchains that a conversion takes, installed or not."""
    if isinstance(spec, Rvc4Spec):
        from oakmill.conversion import rvc4

        return rvc4.needed_toolchains(spec, settings)
    from oakmill.conversion import rvc2

    return rvc2.needed_toolchains(spec, settings)
