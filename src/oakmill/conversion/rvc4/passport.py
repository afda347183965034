"""The accuracy passport of a conversion to RVC4: what is run on which images, by which method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import GENERATED
from oakmill.conversion.passport import (
    Check,
    Finding,
    Measurement,
    OutputEncoding,
    Passport,
    Verdict,
    confidence,
    detectors,
    tasks_of,
)
from oakmill.conversion.passport.agreement import OutputAgreement
from oakmill.conversion.passport.observed import neighbours
from oakmill.conversion.platform import Images, Network
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.simulate import Simulated
from oakmill.graph import equality, half
from oakmill.model.source import Tensor
from oakmill.spec import Rvc4Spec
from oakmill.toolchains.rvc4.toolchain import Port

Raw = Mapping[str, Any]
Run = Callable[[Sequence[Raw]], Iterable[dict[str, Any]]]

QUANTIZED = "QDQ", "the quantized graph in onnxruntime, in float between its quantizers, against the source model"
HALF = (
    "FP16 estimate",
    "weights and activations rounded to FP16 in onnxruntime, against the source model: the processor computes in FP16 "
    "whatever the file stores",
)
PROOF = "HTP", "the finished DLC on Qualcomm's own HTP library, emulated on this machine, against the source model"

LOST_DB, BROKEN_DB = 6.0, 10.0
"""How much worse than its simulation a file may be on the same images. The emulated processor rounds otherwise, which
a softmax can make 2 to 5 dB of; twice the noise is looked at, three times the noise is another network."""
GOOD_DB = 20.0
"""A file as good as that is what was wanted, however much better onnxruntime simulates it: of FP16 networks the
processor adds up products in FP16 too, which costs YOLOX-nano 18 of 43 dB."""
DIFFERS = "file_differs"
CERTAINTY_IMAGES = 32
NOISE_IMAGES = 8


class Model(Protocol):
    """What runs on one sample."""

    def run(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs by name."""


@dataclass(frozen=True)
class Measured:
    """All that the passport is measured from."""

    spec: Rvc4Spec
    prepared: Prepared
    network: Network
    ports: Sequence[Port]
    images: Images
    not_proven: tuple[str, ...]

    def passport(self, run: Run, progress: Progress) -> Passport:
        """Measure; `run` runs the finished file on the vendor's own library."""
        pictures = self.images.held_out
        names = pictures.names
        simulated, own = self._measure(progress)
        emulated, proof = self._prove(run, own, progress)
        return Passport(
            platform="rvc4",
            images=pictures.source,
            image_names=names,
            checks=(simulated, emulated),
            not_proven=self.not_proven,
            findings=detectors.sorted_by_level([*proof, *self._of_images(), *self._of_inputs(), *own.findings()]),
            calibration=self._calibration(),
            held_out=self._kept_apart(),
        )

    def _kept_apart(self) -> str:
        calibration_images = self.images.calibration_images
        return (
            f"none of them is among the {len(calibration_images)} images that taught the quantization"
            if calibration_images
            else ""
        )

    def _candidate(self) -> Model:
        if self.spec.target_precision.is_float:
            return equality.Session(half.half_estimate(self.prepared.model), optimise=False)
        return Simulated(self.network.model, self.prepared.pictures)

    def _measurement(self, reference: Mapping[str, Any]) -> Measurement:
        tensors = [Tensor(name, values.shape, values.dtype.name) for name, values in reference.items()]
        bits = {"uint8": 8, "int8": 8, "uint16": 16, "int16": 16}
        encodings = {
            port.name: OutputEncoding(port.scale, port.offset or 0, bits[port.dtype])
            for port in self.ports
            if port.scale and port.dtype in bits
        }
        return Measurement(tensors, self.prepared.heads, self._size(), encodings)

    def _size(self) -> tuple[int, int] | None:
        """Height and width of the first picture."""
        for item in self.prepared.boundary:
            if item.is_image:
                return item.shape[item.layout.index("H")], item.shape[item.layout.index("W")]
        return None

    def _measure(self, progress: Progress) -> tuple[Check, Measurement]:
        """The simulation on all held-out images."""
        reference, candidate = equality.Session(self.prepared.original), self._candidate()
        pictures = self.images.held_out
        found: Measurement | None = None
        for index, raw in enumerate(pictures):
            progress.doing("measuring the converted model", index, len(pictures))
            expected = reference.run(self.prepared.feeds(raw))
            found = found or self._measurement(expected)
            found.add(pictures.names[index], expected, self.prepared.restored(candidate.run(raw)))
        assert found is not None
        if self.spec.target_precision.is_float:
            return found.check(*HALF, pass_above_db=30, fail_below_db=15, resolution=2**-11), found
        return found.check(*QUANTIZED), found

    def _prove(self, run: Run, own: Measurement, progress: Progress) -> tuple[Check, list[Finding]]:
        """The finished file on a few of them, and whether it does what its simulation does on the same."""
        proof = self.images.held_out.head(self.spec.proof_images)
        raws = list(proof)
        progress.doing("running the finished file on the emulated processor", 0, len(raws))
        reference, candidate = equality.Session(self.prepared.original), self._candidate()
        expected = [reference.run(self.prepared.feeds(raw)) for raw in raws]
        ours, theirs = self._measurement(expected[0]), self._measurement(expected[0])
        for index, (raw, outputs) in enumerate(zip(raws, run(raws), strict=True)):
            name = proof.names[index]
            ours.add(name, expected[index], self.prepared.restored(candidate.run(raw)))
            theirs.add(name, expected[index], self.prepared.restored(outputs))
        bounds = (20, 10) if self.spec.target_precision.is_float else (0, 0)
        check = theirs.check(*PROOF, pass_above_db=bounds[0], fail_below_db=bounds[1], resolution=1e-2)
        # On so few images a share says little: it is shown, and what is judged is whether the file does as simulated.
        check = replace(check, tasks=tuple(replace(task, decides=False) for task in check.tasks))
        simulated = ours.comparison.outputs()
        steps = {port.name: 3 * port.scale for port in self.ports if port.scale}
        found = [differs(*pair, steps.get(pair[0].name, 1e-3)) for pair in zip(simulated, check.outputs, strict=True)]
        return check, [item for item in found if item]

    def _of_inputs(self) -> Iterator[Finding]:
        """Mean and scale that are well-known mistakes, and colours in the wrong order."""
        for item in self.prepared.inputs:
            if item.is_image:
                yield from detectors.preprocessing(item.name, item.mean, item.scale)
        if self.images.held_out.source != GENERATED:
            yield from self._certainty()

    def _certainty(self) -> Iterator[Finding]:
        """How sure the float model is of the held-out images, in their colours and in the opposite ones."""
        pictures = self.images.held_out.head(CERTAINTY_IMAGES)
        reference = equality.Session(self.prepared.original)
        colours = {item.name for item in self.prepared.boundary if item.is_image and item.channels == 3}
        tensors = [Tensor(name, values.shape, "") for name, values in self._first(reference).items()]
        tasks = tasks_of(tensors, self.prepared.heads, self._size())
        declared = confidence.measure(tasks, (reference.run(self.prepared.feeds(raw)) for raw in pictures))
        if declared is None:
            return
        if found := detectors.low_confidence(declared):
            yield found
        if colours:
            turned = ({name: _turned(values, name in colours) for name, values in raw.items()} for raw in pictures)
            other = confidence.measure(tasks, (reference.run(self.prepared.feeds(raw)) for raw in turned))
            if other and (exchanged := detectors.colour_order(declared, other)):
                yield exchanged

    def _first(self, reference: equality.Session) -> dict[str, Any]:
        return reference.run(self.prepared.feeds(self.images.held_out[0]))

    def _of_images(self) -> Iterator[Finding]:
        """Lessons of random pixels."""
        calibration_images = self.images.calibration_images
        pictures = self.prepared.pictures
        if calibration_images is None or not pictures:
            return
        agree = [
            neighbours(calibration_images[index][pictures[0]])
            for index in range(min(NOISE_IMAGES, len(calibration_images)))
        ]
        noise = self.images.calibration_set == "random"
        if found := detectors.random_calibration(float(np.mean(agree)), declared=noise):
            yield found

    def _calibration(self) -> dict[str, Any]:
        record = self.network.calibration
        wanted = ("set", "method", "images", "search")
        return {"precision": self.spec.target_precision.value} | {key: record[key] for key in wanted if key in record}


def differs(simulated: OutputAgreement, found: OutputAgreement, step: float) -> Finding | None:
    """A file that is further from the float model than its own simulation, on the same images: it is not the same.

    Nothing within `step`, some steps of the output's number format, counts as apart.
    """
    lost = min(simulated.snr_db, GOOD_DB + BROKEN_DB) - min(found.snr_db, GOOD_DB + BROKEN_DB)
    apart = found.max_abs > step or not np.isfinite(found.max_abs)
    if not apart or found.snr_db >= GOOD_DB or (lost <= LOST_DB and not np.isnan(lost)):
        return None
    return Finding(
        DIFFERS,
        Verdict.WARN if lost <= BROKEN_DB else Verdict.FAIL,
        "The file does not compute what was simulated",
        f"output {found.name!r} of the finished file has an SNR of {found.snr_db:.1f} dB, the same graph simulated "
        f"{simulated.snr_db:.1f} dB on the same images",
        {"output": found.name, "file_db": found.snr_db, "simulated_db": simulated.snr_db},
        "convert again; where it stays, the vendor's library computes an operation otherwise than ONNX does: compare "
        "with --target-precision FP16",
    )


def _turned(values: Any, is_colour: bool) -> Any:
    """A picture of NHWC with its colours in the other order."""
    return values[..., ::-1] if is_colour else values
