"""The RVC3 toolchain on our side: OpenVINO 2022.3.2's Model Optimizer, and its CPU plugin to read and run the IR."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.errors import ToolchainBroken
from oakmill.processes.events import Watcher, ignore
from oakmill.settings import Settings
from oakmill.toolchains import arrays, door, environments
from oakmill.toolchains.model_optimizer.toolchain import ModelOptimizer
from oakmill.toolchains.rvc3 import tiny

VERSION = "2022.3.2"
RUNNER = Path(__file__).parent


@dataclass(frozen=True)
class Port:
    """An input or output of an IR."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Network:
    """What OpenVINO 2022.3.2 reads in an IR."""

    version: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Rvc3Toolchain(ModelOptimizer):
    """OpenVINO 2022.3.2 from the packages openvino and openvino-dev, in its own Python.

    It holds no compiler for Keem Bay: no public package does.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, VERSION)

    @property
    def name(self) -> str:
        """Its full name."""
        return f"rvc3/openvino-{VERSION}"

    @property
    def summary(self) -> str:
        """What it is."""
        pythons = ", ".join(self._release.pythons)
        return f"OpenVINO {VERSION}: Model Optimizer, and CPU plugin for proof; no compiler; runs on Python {pythons}"

    def verify(self) -> Mapping[str, Any]:
        """Convert a model of one node, and run an IR of one convolution.

        Raises:
            ToolchainMissing: it is not installed.
            ToolchainBroken: it does not do what it should.
        """
        found = super().verify()
        with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
            job = Path(folder) / "job"
            ir = tiny.write_ir(Path(folder) / "tiny.xml")
            with environments.verification(self.name, self._remedy):
                (answer,) = self.infer(ir, job, [{tiny.INPUT: tiny.PICTURE}], [tiny.OUTPUT])
            if not np.allclose(answer[tiny.OUTPUT], tiny.ANSWER, atol=1e-3):
                raise ToolchainBroken(f"{self.name} computes wrongly", remedy=self._remedy)
        return found

    def read(self, ir: Path, job: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Network:
        """Read an IR, and make it ready to run: what it has for these names, which must be all.

        Raises:
            RunnerError: OpenVINO cannot read it ("model"), or its inputs and outputs are others ("names").
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        found = self._run(ir, job, [], inputs, outputs, ignore)
        ports = {
            side: tuple(Port(name, tuple(port["shape"]), port["dtype"]) for name, port in found[side].items())
            for side in ("inputs", "outputs")
        }
        return Network(found["version"], ports["inputs"], ports["outputs"])

    def infer(
        self,
        ir: Path,
        job: Path,
        samples: Sequence[Mapping[str, NDArray[Any]]],
        outputs: Sequence[str],
        *,
        watch: Watcher = ignore,
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Run an IR on the CPU plugin, in float32 between its quantizers: each sample's outputs by name, in order.

        Raises: as `read`.
        """
        job.mkdir(parents=True, exist_ok=True)
        self._run(ir, job, arrays.save_samples(job, samples), list(samples[0]), outputs, watch)
        with np.load(job / arrays.OUTPUTS) as found:
            for index in range(len(samples)):
                yield {name: found[f"{name}/{index}"] for name in outputs}

    def _run(
        self,
        ir: Path,
        job: Path,
        samples: Sequence[Mapping[str, str]],
        inputs: Sequence[str],
        outputs: Sequence[str],
        watch: Watcher,
    ) -> dict[str, Any]:
        job.mkdir(parents=True, exist_ok=True)
        request = {
            "action": "infer",
            "model": str(ir.absolute()),
            "inputs": list(inputs),
            "outputs": list(outputs),
            "samples": samples,
            "target": arrays.OUTPUTS,
        }
        return door.run_runner(
            self.require(), RUNNER, request, job, read=[ir.parent], watch=watch, settings=self._settings
        )
