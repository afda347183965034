"""The quantizers on our side: NNCF and POT, each in an environment of its own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oakmill.errors import ToolchainBroken
from oakmill.processes.events import Watcher, ignore
from oakmill.settings import Settings
from oakmill.toolchains import door, environments, interpreters
from oakmill.toolchains.rvc3 import tiny
from oakmill.toolchains.rvc3.toolchain import RUNNER
from oakmill.toolchains.single import SingleEnvironment

DEVICES = {
    ("nncf", "VPU"): ("NPU", "mixed"),
    ("nncf", "ANY"): ("ANY", "performance"),
    ("pot", "VPU"): ("VPU", "performance"),
    ("pot", "ANY"): ("ANY", "performance"),
}
"""The tool's target device and preset. POT's VPU takes activations as asymmetric whatever the preset is; NNCF, whose
NPU is VPU's successor, does so with MIXED."""


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


class Quantizer(SingleEnvironment):
    """NNCF ("nncf"), or OpenVINO's Post-training Optimization Tool ("pot")."""

    def __init__(self, settings: Settings, tool: str = "nncf") -> None:
        super().__init__(settings)
        self.tool = tool
        self.version = {"nncf": "3.4.0", "pot": "2022.3.2"}[tool]

    @property
    def name(self) -> str:
        """Its full name."""
        return f"rvc3/{self.tool}-{self.version}"

    @property
    def summary(self) -> str:
        """What it is."""
        if self.tool == "nncf":
            return f"NNCF {self.version} on OpenVINO 2026.4.1, which quantizes IRs to 8 bits"
        return (
            f"OpenVINO {self.version}'s Post-training Optimization Tool, needed for --quantizer pot alone; runs on "
            "Python 3.10, 3.9, 3.8"
        )

    def _make(self, watch: Watcher) -> None:
        environments.create(
            self.name,
            lock=RUNNER / f"{self.tool}-{self.version}.lock",
            interpreter=self._interpreter(watch),
            settings=self._settings,
            watch=watch,
        )

    def verify(self) -> Mapping[str, Any]:
        """Quantize a network of one convolution.

        Raises:
            ToolchainMissing: it is not installed.
            ToolchainBroken: it does not do what it should.
        """
        with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
            ir = tiny.write_ir(Path(folder) / "tiny.xml")
            samples = Path(folder) / "samples.npy"
            np.save(samples, np.stack([tiny.PICTURE, 255 - tiny.PICTURE]))
            with environments.verification(self.name, self._remedy):
                done = self.quantize(ir, Path(folder) / "job", Order({tiny.INPUT: samples}, 2))
            if not done.report["quantizers"]:
                raise ToolchainBroken(f"{self.name} quantized nothing of a convolution", remedy=self._remedy)
            return {name: done.report[name] for name in ("quantizers", "bin_bytes")}

    def quantize(self, ir: Path, job: Path, order: Order, *, watch: Watcher = ignore) -> Done:
        """Quantize an IR that the Model Optimizer wrote.

        Raises:
            RunnerError: the tool cannot quantize it ("model"), or a layer to ignore is not there ("layers").
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        job.mkdir(parents=True, exist_ok=True)
        device, preset = DEVICES[self.tool, order.device]
        control = {"drop": order.control.drop, "seconds": order.control.seconds} if order.control else None
        report = door.run_runner(
            self.require(),
            RUNNER,
            {
                "action": self.tool,
                "model": str(ir.absolute()),
                "target": "int8.xml",
                "samples": {name: str(path.absolute()) for name, path in order.samples.items()},
                "calibrate": order.calibrate,
                "device": device,
                "preset": preset,
                "ignored_names": list(order.ignored_names),
                "ignored_types": list(order.ignored_types),
                "control": control,
            },
            job,
            read=sorted({ir.parent, *(path.parent for path in order.samples.values())}),
            watch=watch,
            settings=self._settings,
        )
        return Done(job / "int8.xml", {**report, "device": device, "preset": preset})

    def _interpreter(self, watch: Watcher) -> Path:
        if self.tool == "nncf":
            return Path(sys.executable)
        return interpreters.find_first(("3.10", "3.9", "3.8"), self._settings, watch)
