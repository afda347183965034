"""One method's run over the held-out images, added up image by image: all that a check and its findings need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from oakmill.conversion.passport import choose_tasks as choosing
from oakmill.conversion.passport import detectors
from oakmill.conversion.passport.agreement import Comparison, Outputs, fitting
from oakmill.conversion.passport.bounds import QUANTIZED, Bounds
from oakmill.conversion.passport.labelled import Truth, judges_of
from oakmill.conversion.passport.observed import OutputEncoding, Watch
from oakmill.conversion.passport.report import Check
from oakmill.findings import Finding
from oakmill.heads.decoders import Size
from oakmill.heads.recognise import Head, TensorLike


class Measurement:
    """Compares a converted model, run by one method, with the float one; keeps sums, no outputs.

    Args:
        outputs: the model's, with the shapes of the source.
        heads: `model.heads` of the NN Archive's config, where there is one.
        size: height and width of the input image.
        encodings: the number formats of quantized outputs.
        truth: what is on the images, where that is known.
    """

    def __init__(
        self,
        outputs: Sequence[TensorLike],
        heads: Sequence[Head] | None = None,
        size: Size | None = None,
        encodings: Mapping[str, OutputEncoding] | None = None,
        truth: Truth | None = None,
    ) -> None:
        self.comparison = Comparison()
        self.watch = Watch(encodings)
        self.tasks = choosing.of(outputs, heads, size)
        self.judges = judges_of(self.tasks, truth)

    def add(self, image: str, reference: Outputs, candidate: Outputs) -> None:
        """Add one image's outputs by name: the float model's and the converted one's, real numbers.

        Raises:
            VerificationFailed: the converted model lacks an output, or has one of another size.
        """
        candidate = fitting(reference, candidate)
        self.comparison.add(image, reference, candidate)
        self.watch.add(reference, candidate)
        for task in self.tasks:
            task.add(image, reference, candidate)
        for judge in self.judges:
            judge.add(image, reference, candidate)

    def check(self, name: str, method: str, bounds: Bounds = QUANTIZED, *, decides: bool = True) -> Check:
        """The check, under its short name and with its method in words; where tasks do not decide, they are shown."""
        tasks = [task.agreement() for task in self.tasks]
        shown = [task for task in tasks if task.decides or task.kind != "segmentation"]  # any map may be guessed as one
        judged = tuple(task if decides else replace(task, decides=False) for task in shown)
        low, high, resolution, rounding = bounds
        found = tuple(accuracy for judge in self.judges if (accuracy := judge.accuracy()))
        return Check(name, method, self.comparison.outputs(), low, high, resolution, judged, rounding, found)

    def findings(self) -> tuple[Finding, ...]:
        """What the run shows of the known ways to fail without a word."""
        tasks = tuple(task.agreement() for task in self.tasks)
        return detectors.find(self.watch.outputs, self.watch.encodings, self.comparison.outputs(), tasks)
