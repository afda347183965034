"""The seam to finished files that are looked at again: what differs from one platform to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Progress
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.cost import Cost
from oakmill.conversion.platform import Built, Network, Platform
from oakmill.conversion.prepare import Prepared
from oakmill.model.source import Tensor
from oakmill.spec.recipe import CalibrationRecord


@dataclass(frozen=True)
class Found:
    """What the vendor's own reader finds in a file: for people, its boundary, and as the conversion had it.

    Shapes of `inputs` and `outputs` may have their sizes in the reader's own order.
    """

    built: Built
    document: Mapping[str, Any]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Finished(ABC):
    """A finished file of a platform, the NN Archive that holds it, if one does, and a folder for the work on it.

    With `patient` it runs all samples that it is given, however long that takes.
    """

    platform: Platform
    file: Path
    archive: Path | None
    work: Path
    patient: bool = False

    not_run: ClassVar[str] = ""
    """Why nothing on this machine runs such a file; empty where its emulation does."""

    @abstractmethod
    def read(self, depthai: Depthai, progress: Progress) -> Found:
        """Have it read.

        Raises:
            VerificationFailed: it is not whole, or no file of this platform.
            ToolKilled, LimitExceeded: the reader did not come to an end.
        """

    @abstractmethod
    def run(self, found: Found, samples: Sequence[Outputs], progress: Progress) -> Iterator[Outputs]:
        """Run the file on samples, arrays by the inputs' names: the outputs of each, perhaps not of the last ones.

        Nothing where `not_run` says why. Raises: as `read`.
        """

    @abstractmethod
    def network(
        self, prepared: Prepared, found: Found, calibration: CalibrationRecord, progress: Progress
    ) -> Network | None:
        """What the passport takes for the network that was compiled, as far as it is here without calibrating again.

        None where there is nothing to measure.

        Raises:
            CompileFailed: the Model Optimizer could not convert it.
        """

    def cost(self, network: Network, found: Found) -> Cost:
        """What one run costs on the chip, as a conversion says it.

        Raises:
            VerificationFailed: the file is damaged.
        """
        return self.platform.cost(network, found.built)
