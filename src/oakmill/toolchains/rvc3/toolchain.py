"""The RVC3 toolchain on our side: OpenVINO 2022.3.2's Model Optimizer, and its CPU plugin to read and run the IR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.processes.events import Watcher, ignore
from oakmill.settings import Settings
from oakmill.toolchains import arrays, cpu_plugin
from oakmill.toolchains.base import expect
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
        self.name = f"rvc3/openvino-{VERSION}"
        self.what = f"OpenVINO {VERSION}: Model Optimizer, and CPU plugin for proof; no compiler"

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Convert a model of one node, and run an IR of one convolution."""
        ir = tiny.write_ir(folder / "tiny.xml")
        (answer,) = self.infer(ir, folder / "infer", [{tiny.INPUT: tiny.PICTURE}], [tiny.OUTPUT])
        expect(answer[tiny.OUTPUT], tiny.ANSWER, 1e-3)
        return super().prove(folder)

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
        request = {
            "model": str(ir.absolute()),
            "inputs": list(inputs),
            "outputs": list(outputs),
            "samples": samples,
            "target": arrays.OUTPUTS,
        }
        return cpu_plugin.asked(
            lambda plain: self.ask(
                "infer", request, job, read=[ir.parent], package=RUNNER, variables=plain, watch=watch
            ),
            job / arrays.OUTPUTS,
        )
