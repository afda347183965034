"""Stands in the place of the door to vendors' tools: what a runner would be asked, without any tool.

All toolchains look installed, empty; a conversion goes as far as the first request that has no answer here. The Model
Optimizer's requests are answered by an IR of one convolution, so that what comes after it is seen too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oakmill.conversion.pipeline import convert
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec
from oakmill.toolchains import door
from oakmill.toolchains.environments import Environment
from oakmill.toolchains.rvc3 import tiny
from tests.fakes import stand_in

_SITE = "lib/python3.11/site-packages"
TOOLCHAINS: Mapping[str, tuple[str, ...]] = {
    "rvc2/openvino-2022.2.0": ("onnxruntime/capi/libopenvino_c.so", f"{_SITE}/libusb_package/libusb-1.0.so"),
    "rvc2/mo-2022.2.0": tuple(
        f"openvino_tensorflow/{name}.so"
        for name in ("libopenvino_c", "libopenvino_ir_frontend", "libopenvino_onnx_frontend")
    ),
    "rvc3/openvino-2022.3.2": (),
    "rvc3/nncf-3.4.0": (),
    "rvc3/pot-2022.3.2": (),
    "rvc4/qairt-2.51": tuple(
        f"{_SITE}/onnxruntime_qnn/{name}"
        for name in ("libonnxruntime_providers_qnn.so", "libQnnHtp.so", "libQnnSystem.so", "libQnnIr.so")
    ),
}
"""Each toolchain, and the files that are looked for in it."""


class Unanswered(Exception):
    """A request was made that nothing here answers."""


@dataclass
class Door:
    """The requests that were made, in order; each with the toolchain's name."""

    requests: list[dict[str, Any]] = field(default_factory=list)

    def run(
        self, environment: Environment, package: Path, request: Mapping[str, Any], job: Path, **more: Any
    ) -> dict[str, Any]:
        """Keep the request.

        Raises:
            Unanswered: it is not one to the Model Optimizer.
        """
        self.requests.append({"toolchain": environment.name, **request})
        if "arguments" not in request:
            raise Unanswered
        model = Path(request["arguments"][1])
        tiny.write_ir(job / f"{model.stem}.xml")
        return {}


def home(folder: Path) -> Settings:
    """A home in which every toolchain looks installed."""
    settings = Settings(home=folder / "home", cache_max_mb=0)
    for name, files in TOOLCHAINS.items():
        environment = stand_in(name, settings, libraries=name.startswith("rvc2"))
        for file in files:
            place = environment.libraries if environment.libraries and not file.startswith("lib/") else None
            path = (place or environment.folder) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return settings


def requests(
    model: Path, spec: ConversionSpec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Sequence[dict[str, Any]]:
    """What the runners would get for a conversion, up to the first request that is not the Model Optimizer's."""
    opened = Door()
    monkeypatch.setattr(door, "run_runner", opened.run)
    with pytest.raises(Unanswered):
        convert(model, spec, folder / "out", settings=home(folder))
    return opened.requests
