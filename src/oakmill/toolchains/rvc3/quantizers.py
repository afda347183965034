"""The quantizers on our side: NNCF and POT, each in an environment of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oakmill.errors import ToolchainBroken
from oakmill.processes.events import Watcher, ignore
from oakmill.settings import Settings
from oakmill.toolchains.base import Managed
from oakmill.toolchains.door import PLAIN_DISTUTILS
from oakmill.toolchains.making import Contents
from oakmill.toolchains.rvc3 import tiny
from oakmill.toolchains.rvc3.toolchain import RUNNER

DEVICES = {
    ("nncf", "VPU"): ("NPU", "mixed"),
    ("nncf", "ANY"): ("ANY", "performance"),
    ("pot", "VPU"): ("VPU", "performance"),
    ("pot", "ANY"): ("ANY", "performance"),
}
"""The tool's target device and preset. POT's VPU takes activations as asymmetric whatever the preset is; NNCF, whose
NPU is VPU's successor, does so with MIXED."""


@dataclass(frozen=True)
class Release:
    """A quantizer at its version, and the Pythons that it runs on; none are for the one that runs Oakmill."""

    version: str
    what: str
    pythons: tuple[str, ...] = ()


RELEASES = {
    "nncf": Release("3.4.0", "NNCF 3.4.0 on OpenVINO 2026.4.1, which quantizes IRs to 8 bits"),
    "pot": Release(
        "2022.3.2",
        "OpenVINO 2022.3.2's Post-training Optimization Tool, needed for --quantizer pot alone",
        ("3.10", "3.9", "3.8"),
    ),
}


@dataclass(frozen=True)
class Control:
    """Until when layers are put back into floating point, by samples behind those that calibrate."""

    drop: float
    seconds: int


@dataclass(frozen=True)
class Order:
    """What a quantizer is to do; `device` is VPU or ANY, layers are meant by their exact names and types.

    `samples` are arrays [samples, *the input's shape] by the input's name; the first `calibrate` do so.
    """

    samples: Mapping[str, Path]
    calibrate: int
    device: str = "VPU"
    ignored_names: tuple[str, ...] = ()
    ignored_types: tuple[str, ...] = ()
    control: Control | None = None


@dataclass(frozen=True)
class Done:
    """A quantized IR, and what the tool tells of the work."""

    file: Path
    report: Mapping[str, Any]


class Quantizer(Managed):
    """NNCF ("nncf"), or OpenVINO's Post-training Optimization Tool ("pot")."""

    package = RUNNER

    def __init__(self, settings: Settings, tool: str = "nncf") -> None:
        super().__init__(settings)
        release = RELEASES[tool]
        self.tool, self.version = tool, release.version
        self.name = f"rvc3/{tool}-{release.version}"
        self.what, self.pythons = release.what, release.pythons
        self.contents = Contents(RUNNER / f"{tool}-{release.version}.lock")

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Quantize a network of one convolution.

        Raises:
            ToolchainBroken: nothing of it is quantized.
        """
        ir = tiny.write_ir(folder / "tiny.xml")
        samples = folder / "samples.npy"
        np.save(samples, np.stack([tiny.PICTURE, 255 - tiny.PICTURE]))
        done = self.quantize(ir, folder / "job", Order({tiny.INPUT: samples}, 2))
        if not done.report["quantizers"]:
            raise ToolchainBroken("it quantized nothing of a convolution")
        return {name: done.report[name] for name in ("quantizers", "bin_bytes")}

    def quantize(self, ir: Path, job: Path, order: Order, *, watch: Watcher = ignore) -> Done:
        """Quantize an IR that the Model Optimizer wrote.

        Raises:
            RunnerError: the tool cannot quantize it ("model"), or a layer to ignore is not there ("layers").
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        device, preset = DEVICES[self.tool, order.device]
        request = {
            "model": str(ir.absolute()),
            "target": "int8.xml",
            "samples": {name: str(path.absolute()) for name, path in order.samples.items()},
            "calibrate": order.calibrate,
            "device": device,
            "preset": preset,
            "ignored_names": list(order.ignored_names),
            "ignored_types": list(order.ignored_types),
            "control": asdict(order.control) if order.control else None,
        }
        read = sorted({ir.parent, *(path.parent for path in order.samples.values())})
        plain = PLAIN_DISTUTILS if self.tool == "pot" else None
        report = self.ask(self.tool, request, job, read=read, variables=plain, watch=watch)
        return Done(job / "int8.xml", {**report, "device": device, "preset": preset})
