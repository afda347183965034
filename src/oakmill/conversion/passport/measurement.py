"""One method's run over the held-out images, added up image by image: all that a check and its findings need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oakmill.conversion.passport import choose_tasks as choosing
from oakmill.conversion.passport import detectors
from oakmill.conversion.passport.agreement import Comparison, Outputs
from oakmill.conversion.passport.choose_tasks import Head, TensorLike
from oakmill.conversion.passport.detectors import Finding
from oakmill.conversion.passport.observed import OutputEncoding, Watch
from oakmill.conversion.passport.report import Check
from oakmill.heads.decoders import Size

QUANTIZED_PASS_DB, QUANTIZED_FAIL_DB = 25.0, 15.0
"""Where no task is known, an output of a quantized model passes from 25 dB: the noise is a twentieth of the signal,
and 8 bits alone over a range that is used well leave 35 to 50. At 15 dB it is a sixth, which no output bears."""


class Measurement:
    """Compares a converted model, run by one method, with the float one; keeps sums, no outputs.

    Args:
        outputs: the model's, with the shapes of the source.
        heads: `model.heads` of the NN Archive's config, where there is one.
        size: height and width of the input picture.
        encodings: the number formats of quantized outputs.
    """

    def __init__(
        self,
        outputs: Sequence[TensorLike],
        heads: Sequence[Head] | None = None,
        size: Size | None = None,
        encodings: Mapping[str, OutputEncoding] | None = None,
    ) -> None:
        self.comparison = Comparison()
        self.watch = Watch(encodings)
        self.tasks = choosing.of(outputs, heads, size)

    def add(self, image: str, reference: Outputs, candidate: Outputs) -> None:
        """Add one image's outputs by name: the float model's and the converted one's, real numbers, equal shapes."""
        self.comparison.add(image, reference, candidate)
        self.watch.add(reference, candidate)
        for task in self.tasks:
            task.add(image, reference, candidate)

    def check(
        self,
        name: str,
        method: str,
        *,
        pass_above_db: float = QUANTIZED_PASS_DB,
        fail_below_db: float = QUANTIZED_FAIL_DB,
        resolution: float = 0.0,
    ) -> Check:
        """The check, under its short name and with its method in words."""
        tasks = tuple(task.agreement() for task in self.tasks)
        return Check(name, method, self.comparison.outputs(), pass_above_db, fail_below_db, resolution, tasks)

    def findings(self) -> tuple[Finding, ...]:
        """The silent killers that the run shows."""
        tasks = tuple(task.agreement() for task in self.tasks)
        return detectors.find(self.watch.outputs, self.watch.encodings, self.comparison.outputs(), tasks)
