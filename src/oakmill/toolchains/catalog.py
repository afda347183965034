"""All toolchains that Oakmill knows, and how one is named."""

from __future__ import annotations

from oakmill.errors import ToolchainMissing
from oakmill.settings import Settings
from oakmill.toolchains.base import Toolchain


def all_toolchains(settings: Settings) -> list[Toolchain]:
    """Every toolchain, the default of each platform first."""
    from oakmill.toolchains.model_optimizer.toolchain import ModelOptimizer
    from oakmill.toolchains.rvc2.toolchain import PUBLIC_VERSION, Rvc2Toolchain
    from oakmill.toolchains.rvc3.quantizers import Quantizer
    from oakmill.toolchains.rvc3.toolchain import Rvc3Toolchain
    from oakmill.toolchains.rvc3.vendor import configured
    from oakmill.toolchains.rvc4.toolchain import Rvc4Toolchain
    from oakmill.toolchains.tflite.toolchain import TfliteToolchain
    from oakmill.toolchains.torchscript.toolchain import TorchScriptToolchain

    others = sorted(version for version in settings.rvc2_libraries if version != PUBLIC_VERSION)
    compilers = [Rvc2Toolchain(settings, version) for version in (PUBLIC_VERSION, *others)]
    own = configured(settings)
    for_rvc3: list[Toolchain] = [
        Rvc3Toolchain(settings),
        Quantizer(settings),
        Quantizer(settings, "pot"),
        *([own] if own else []),
    ]
    sources: list[Toolchain] = [TfliteToolchain(settings), TorchScriptToolchain(settings)]
    return [*compilers, *for_rvc3, Rvc4Toolchain(settings), ModelOptimizer(settings), *sources]


def find(name: str, settings: Settings) -> Toolchain:
    """The toolchain of that full name ("rvc2/openvino-2022.2.0"), or the default one of a platform ("rvc2").

    Raises:
        ToolchainMissing: there is none of that name; the message lists those there are.
    """
    known = all_toolchains(settings)
    for toolchain in known:
        if name.lower() in (toolchain.name, toolchain.name.partition("/")[0]):
            return toolchain
    names = ", ".join(toolchain.name for toolchain in known)
    raise ToolchainMissing(f"There is no toolchain {name!r}; known are: {names}.", subject=name)
