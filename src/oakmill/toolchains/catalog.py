"""All toolchains that Oakmill knows, and how one is named."""

from __future__ import annotations

from collections.abc import Callable

from oakmill.errors import ToolchainMissing
from oakmill.settings import Settings
from oakmill.toolchains.base import Toolchain


def rvc2(settings: Settings) -> list[Toolchain]:
    """The public OpenVINO, one out of an archive, and the user's own."""
    from oakmill.toolchains.rvc2.openvino_install import OpenVino
    from oakmill.toolchains.rvc2.toolchain import PUBLIC_VERSION, Rvc2Toolchain

    others = sorted(version for version in settings.rvc2_libraries if version != PUBLIC_VERSION)
    return [Rvc2Toolchain(settings), OpenVino(settings), *(Rvc2Toolchain(settings, version) for version in others)]


def rvc3(settings: Settings) -> list[Toolchain]:
    """The Model Optimizer, both quantizers, and the vendor's compiler where it is set."""
    from oakmill.toolchains.rvc3.quantizers import Quantizer
    from oakmill.toolchains.rvc3.toolchain import Rvc3Toolchain
    from oakmill.toolchains.rvc3.vendor import configured

    own = configured(settings)
    return [Rvc3Toolchain(settings), Quantizer(settings), Quantizer(settings, "pot"), *([own] if own else [])]


def rvc4(settings: Settings) -> list[Toolchain]:
    """Qualcomm's public libraries, its SDKs at the devices' versions, and its toolkit that learns weights."""
    from oakmill.toolchains.aimet.toolchain import Aimet
    from oakmill.toolchains.rvc4 import sdk_install
    from oakmill.toolchains.rvc4.toolchain import Rvc4Toolchain

    return [Rvc4Toolchain(settings), *sdk_install.every(settings), Aimet(settings)]


def readers(settings: Settings) -> list[Toolchain]:
    """What reads sources: OpenVINO IR, TFLite, TorchScript, checkpoints."""
    from oakmill.toolchains.model_optimizer.toolchain import ModelOptimizer
    from oakmill.toolchains.tflite.toolchain import TfliteToolchain
    from oakmill.toolchains.torchscript.toolchain import TorchScriptToolchain
    from oakmill.toolchains.ultralytics.toolchain import UltralyticsToolchain

    kinds = (ModelOptimizer, TfliteToolchain, TorchScriptToolchain, UltralyticsToolchain)
    return [kind(settings) for kind in kinds]


def importers(settings: Settings) -> list[Toolchain]:
    """What models are imported by from Hugging Face and HubAI."""
    from oakmill.toolchains.importers import libraries

    return [*libraries.every(settings)]


MAKERS: dict[str, Callable[[Settings], list[Toolchain]]] = {
    "rvc2": rvc2,
    "rvc3": rvc3,
    "rvc4": rvc4,
    "": readers,
    "import": importers,
}
"""What makes the toolchains of each platform, and those of none; every version, a platform's default first."""


def all_toolchains(settings: Settings) -> list[Toolchain]:
    """Every toolchain, the default of each platform first."""
    return [toolchain for make in MAKERS.values() for toolchain in make(settings)]


def find(name: str, settings: Settings) -> Toolchain:
    """The toolchain of that name ("rvc2/openvino-2022.2.0", "rvc2/openvino"), or a platform's default one ("rvc2").

    Qualcomm's SDK is found at any version, whole ("rvc4/qairt-2.40.0.251030") or as far as it is told from others;
    OpenVINO out of an archive by HubAI's word for it too.

    Raises:
        ToolchainMissing: there is none of that name; the message lists those there are.
    """
    known = all_toolchains(settings)
    for toolchain in known:
        if name.lower() in (toolchain.name, toolchain.name.rpartition("-")[0], toolchain.name.partition("/")[0]):
            return toolchain
    if found := _out_of_an_archive(name.lower(), settings):
        return found
    names = ", ".join(toolchain.name for toolchain in known)
    raise ToolchainMissing(f"There is no toolchain {name!r}; known are: {names}.", subject=name)


def _out_of_an_archive(name: str, settings: Settings) -> Toolchain | None:
    from oakmill.toolchains.rvc2 import openvino_install
    from oakmill.toolchains.rvc4 import sdk_install

    return sdk_install.of_name(name, settings) or openvino_install.of_name(name, settings)
