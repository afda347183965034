"""A result for RVC3 looked at again: OpenVINO reads and runs an IR; depthai reads a blob, which nothing runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from oakmill.conversion import finished
from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Progress
from oakmill.conversion.finished import Found
from oakmill.conversion.output.nn_archive import CODES
from oakmill.conversion.output.verification import tensor_of
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.platform import Built, Network
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc3.platform import Rvc3, Rvc3Built, Rvc3Network
from oakmill.errors import SourceError, VerificationFailed
from oakmill.model.openvino_ir import read_ir
from oakmill.model.source import Tensor
from oakmill.spec.recipe import CalibrationRecord
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.rvc3 import blob
from oakmill.toolchains.rvc3.toolchain import VERSION, Port
from oakmill.toolchains.rvc3.toolchain import Network as Read


@dataclass(frozen=True)
class Finished(finished.Finished):
    """An IR for RVC3."""

    platform: Rvc3

    def read(self, depthai: Depthai, progress: Progress) -> Found:
        """By OpenVINO 2022.3.2.

        Raises:
            VerificationFailed: it is not whole, or no IR.
        """
        progress.doing(f"reading the IR with OpenVINO {VERSION}")
        names = self._names()
        try:
            read = self.platform.toolchain.read(self.file, self.work / "read", *names)
        except RunnerError as error:
            raise VerificationFailed(f"OpenVINO {VERSION} cannot use the IR: {error.message}", log=error.log) from error
        if self.archive:
            depthai.read([self.archive])
        built = Rvc3Built(self.file, _ports(read), read, compiled=False, parts=(self.file.with_suffix(".bin"),))
        document = {"name": f"OpenVINO {read.version}", "kind": "ir"}
        inputs, outputs = (tuple(map(_tensor, ports)) for ports in (read.inputs, read.outputs))
        return Found(built, document, inputs, outputs)

    def _names(self) -> tuple[list[str], list[str]]:
        try:
            source = read_ir(self.file, self.platform.settings)
        except SourceError as error:
            raise VerificationFailed(error.message, subject=error.subject) from error
        return [tensor.name for tensor in source.inputs], [tensor.name for tensor in source.outputs]

    def run(self, found: Found, samples: Sequence[Outputs], progress: Progress) -> Iterator[Outputs]:
        """On OpenVINO's CPU plugin, in float32 between its quantizers."""
        names = [tensor.name for tensor in found.outputs]
        return self.platform.toolchain.infer(self.file, self.work / "run", samples, names, watch=progress.tool)

    def network(self, prepared: Prepared, found: Found, calibration: CalibrationRecord, progress: Progress) -> Network:
        """The IR itself; what it was before a quantization is not here."""
        plain = None if self.platform.calibrates else self.file
        return Rvc3Network(self.file, prepared.model, calibration, plain=plain)


@dataclass(frozen=True)
class FinishedBlob(finished.Finished):
    """A blob for RVC3."""

    not_run: ClassVar[str] = (
        "nothing but the camera runs a blob for RVC3, and the IR that it was compiled from is not here"
    )

    def read(self, depthai: Depthai, progress: Progress) -> Found:
        """By depthai.

        Raises:
            VerificationFailed: it is no blob for RVC3.
        """
        blob.require_vpux(self.file)
        (read,) = depthai.read([self.file])
        if read.get("device") != "VPUX":
            raise VerificationFailed(f"depthai reads the blob as one for {read.get('device', read['kind'])}")
        document = {"name": "depthai", **{key: read[key] for key in ("kind", "inputs", "outputs")}}
        inputs, outputs = (tuple(map(tensor_of, read[side])) for side in ("inputs", "outputs"))
        return Found(Built(self.file, {}), document, inputs, outputs)

    def run(self, found: Found, samples: Sequence[Outputs], progress: Progress) -> Iterator[Outputs]:
        """Nothing."""
        return iter(())

    def network(self, prepared: Prepared, found: Found, calibration: CalibrationRecord, progress: Progress) -> None:
        """Nothing is here."""
        return


def _ports(read: Read) -> dict[str, dict[str, str]]:
    sides = {"inputs": read.inputs, "outputs": read.outputs}
    return {side: {port.name: CODES[port.dtype] for port in ports} for side, ports in sides.items()}


def _tensor(port: Port) -> Tensor:
    return Tensor(port.name, port.shape, port.dtype)
