"""A superblob or blob that is looked at again: depthai reads it, and nothing on this machine runs it."""

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
from oakmill.conversion.platform import Network
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc2.platform import Rvc2Built
from oakmill.errors import VerificationFailed
from oakmill.spec.recipe import CalibrationRecord
from oakmill.toolchains.rvc2.blob import read_header, read_superblob


@dataclass(frozen=True)
class Finished(finished.Finished):
    """A file for RVC2."""

    not_run: ClassVar[str] = (
        "nothing but the camera runs a blob: what is measured is the network prepared again as the recipe says, which "
        "the blob's digest ties to it"
    )

    def read(self, depthai: Depthai, progress: Progress) -> Found:
        """By depthai; a superblob's 16 blobs are all made, as a camera's host would.

        Raises:
            VerificationFailed: it is not whole, or one for another device.
        """
        progress.doing("reading it with depthai")
        self._require_whole()
        read, *packed = depthai.read([self.file, *([self.archive] if self.archive else [])])
        if packed and "RVC2" not in packed[0].get("platforms", ()):
            raise VerificationFailed(f"depthai reads the archive as {packed[0]['kind']}, not as one for RVC2")
        for shaves, digest in read["blobs"].items():
            if digest == "differs":
                raise VerificationFailed(f"the superblob does not give back the blob for {shaves} SHAVEs")
        inputs, outputs = (tuple(map(tensor_of, read[side])) for side in ("inputs", "outputs"))
        document = {"name": "depthai", **{key: read[key] for key in ("kind", "inputs", "outputs", "stages", "shaves")}}
        blobs = {int(shaves): digest for shaves, digest in read["blobs"].items()}
        ports = {
            side: {tensor.name: CODES[tensor.dtype] for tensor in tensors if tensor.dtype in CODES}
            for side, tensors in (("inputs", inputs), ("outputs", outputs))
        }
        return Found(Rvc2Built(self.file, ports, blobs), document, inputs, outputs)

    def _require_whole(self) -> None:
        """depthai itself reads beyond the end of a blob that was cut off."""
        superblob = self.file.suffix == ".superblob"
        data = read_superblob(self.file)[0] if superblob else self.file.read_bytes()
        stated = read_header(data).file_size
        if stated > len(data):
            raise VerificationFailed(
                f"{self.file.name} is cut off: of {stated} bytes of its blob {len(data)} are there"
            )

    def run(self, found: Found, samples: Sequence[Outputs], progress: Progress) -> Iterator[Outputs]:
        """Nothing."""
        return iter(())

    def network(self, prepared: Prepared, found: Found, calibration: CalibrationRecord, progress: Progress) -> Network:
        """The network that the compiler was given. Raises: as `Rvc2.network`."""
        return self.platform.network(prepared, self.work / "network", progress)
