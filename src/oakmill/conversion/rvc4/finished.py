"""A DLC that is looked at again: Qualcomm's own library reads it, and its emulated processor runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from oakmill.conversion import finished
from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Progress
from oakmill.conversion.finished import Found
from oakmill.conversion.passport import cost as costing
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.cost import Cost
from oakmill.conversion.platform import Network
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.platform import Rvc4, Rvc4Built, built_of, described, stored
from oakmill.errors import ToolKilled, VerificationFailed
from oakmill.graph import costs
from oakmill.model.source import Tensor
from oakmill.spec.recipe import CalibrationRecord
from oakmill.spec.rvc4 import PROOF_SECONDS
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.rvc4.toolchain import Port


@dataclass(frozen=True)
class Finished(finished.Finished):
    """A DLC."""

    platform: Rvc4

    def read(self, depthai: Depthai, progress: Progress) -> Found:
        """By Qualcomm's libQnnSystem, which also composes its graph.

        Raises:
            VerificationFailed: it is no whole DLC, or not one graph that the processor takes.
        """
        progress.doing("reading the DLC with Qualcomm's library")
        try:
            compiled = self.platform.toolchain.read(self.file, self.work / "read", progress.tool)
        except (RunnerError, ToolKilled) as error:
            raise VerificationFailed(f"Qualcomm's library cannot read it: {error.message}", log=error.log) from error
        if self.archive:
            (packed,) = depthai.read([self.archive])
            if "RVC4" not in packed.get("platforms", ()):
                raise VerificationFailed(f"depthai reads the archive as {packed['kind']}, not as one for RVC4")
        document = {
            "name": f"Qualcomm's libQnnSystem {compiled.qairt}",
            "kind": "dlc",
            "inputs": [described(port) for port in compiled.inputs],
            "outputs": [described(port) for port in compiled.outputs],
        }
        return Found(built_of(compiled), document, _tensors(compiled.inputs), _tensors(compiled.outputs))

    def run(self, found: Found, samples: Sequence[Outputs], progress: Progress) -> Iterator[Outputs]:
        """On the emulated processor, as many as it runs in `PROOF_SECONDS` unless it is patient."""
        seconds = None if self.patient else PROOF_SECONDS
        built = found.built
        assert isinstance(built, Rvc4Built)
        half = not self.platform.calibrates or all(port.scale is None for port in built.outputs)
        given = [stored(sample, built.inputs) for sample in samples]
        return self.platform.toolchain.infer(
            self.file, self.work / "run", given, half=half, seconds=seconds, watch=progress.tool
        )

    def network(self, prepared: Prepared, found: Found, calibration: CalibrationRecord, progress: Progress) -> Network:
        """The graph in floating point; a quantized one is not here, and the file is measured alone."""
        return replace(self.platform.network(prepared, self.work / "network", progress), calibration=calibration)

    def cost(self, network: Network, found: Found) -> Cost:
        """Of a quantized file in the bits that were asked for throughout: which tensors have others, and so how long it
        may take, only the conversion knows."""
        if not self.platform.calibrates:
            return super().cost(network, found)
        asked = self.platform.spec.target_precision
        counted = costs.count(network.model, value_bits=asked.activation_bits, weight_bits=asked.weight_bits)
        return replace(costing.of(counted), formats=())


def _tensors(ports: Sequence[Port]) -> tuple[Tensor, ...]:
    return tuple(Tensor(port.name, port.shape, port.dtype) for port in ports)
