"""The accuracy passport of a conversion to RVC3: its IRs on OpenVINO's CPU plugin against the source model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import Pictures
from oakmill.conversion.output import verification
from oakmill.conversion.passport import Check, Finding, Measurement, Passport, Verdict, detectors, preprocessing_checks
from oakmill.conversion.platform import Images, Network
from oakmill.conversion.prepare import Prepared
from oakmill.model.source import Tensor
from oakmill.spec import Rvc3Spec

Raw = Mapping[str, Any]
Run = Callable[[Sequence[Raw]], Iterable[Mapping[str, Any]]]

_ON = "on OpenVINO 2022.3.2's CPU plugin, in float32 between its {}, against the source model in onnxruntime"
QUANTIZED = "INT8", "the quantized IR " + _ON.format("quantizers")
PLAIN = (
    "FP16 weights",
    "the Model Optimizer's IR, as it is before any quantization, on OpenVINO 2022.3.2's CPU plugin in float32, against "
    "the source model in onnxruntime",
)
SOURCE_IR = (
    "float32",
    "the IR with its preprocessing, as it is before any quantization, against the source IR, both on OpenVINO "
    "2022.3.2's CPU plugin in float32",
)
STORED = (
    "FP16 estimate",
    "estimate of FP16 storage: weights and activations rounded to FP16 in onnxruntime, against the prepared network "
    "in float32",
)
BATCH, BATCH_BYTES = 64, 256 << 20
"""Samples that one run of OpenVINO gets, and bytes of them: a start of it costs as much as some thirty small ones."""
LABEL = "IR, not compiled"
NOT_COMPILED = Finding(
    "not_compiled",
    Verdict.WARN,
    LABEL,
    "no camera runs this file: no public package has a compiler for RVC3, and no compile_tool of the vendor's is set",
    {"status": "needs_compiler"},
    "docs/howto/rvc3-compile-tool.md says how to set one, and how to compile the IR by hand",
)


@dataclass(frozen=True)
class Measured:
    """All that the passport is measured from; `reference` runs the source model, where that is an IR."""

    spec: Rvc3Spec
    prepared: Prepared
    network: Network
    images: Images
    not_proven: tuple[str, ...]
    compiled: bool
    reference: preprocessing_checks.Reference | None = None

    def passport(self, plain: Run, quantized: Run | None, progress: Progress) -> Passport:
        """Measure; `plain` runs the IR before quantization, `quantized` the one after it, where there is one."""
        pictures = self.images.held_out
        found = self._measure({"plain": plain, **({"quantized": quantized} if quantized else {})}, progress)
        words = SOURCE_IR if self.reference else PLAIN
        checks = [found["plain"].check(*words, pass_above_db=40, fail_below_db=20, resolution=2**-11)]
        if quantized:
            name, method = QUANTIZED
            method = method.replace("model in onnxruntime", "IR there") if self.reference else method
            checks.insert(0, found["quantized"].check(name, method))
        elif not self.reference:
            checks.append(self._stored(progress))
        own = found["quantized" if quantized else "plain"].findings()
        suspected = (
            *preprocessing_checks.of_calibration_images(self.prepared, self.images),
            *preprocessing_checks.of_inputs(self.prepared, pictures, self.reference),
        )
        status = () if self.compiled else (NOT_COMPILED,)
        return Passport(
            platform="rvc3",
            images=pictures.source,
            image_names=pictures.names,
            checks=tuple(checks),
            overflows=() if quantized or self.reference else verification.find_overflows(self.prepared, pictures),
            not_proven=self.not_proven,
            findings=detectors.sorted_by_level([*own, *suspected, *status]),
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

    def _measure(self, runs: Mapping[str, Run], progress: Progress) -> dict[str, Measurement]:
        """Each IR on all held-out images."""
        reference, pictures = self.reference or preprocessing_checks.in_onnxruntime(self.prepared), self.images.held_out
        found: dict[str, Measurement] = {}
        done = 0
        for names, batch in _batches(pictures):
            progress.doing("measuring the converted model", done, len(pictures))
            expected = list(reference(batch))
            for kind, run in runs.items():
                measurement = found.setdefault(kind, self._measurement(expected[0]))
                for name, wanted, outputs in zip(names, expected, run(batch), strict=True):
                    measurement.add(name, wanted, self.prepared.restored(outputs))
            done += len(batch)
        return found

    def _measurement(self, reference: Mapping[str, Any]) -> Measurement:
        tensors = [Tensor(name, values.shape, values.dtype.name) for name, values in reference.items()]
        return Measurement(tensors, self.prepared.heads, preprocessing_checks.size(self.prepared))

    def _stored(self, progress: Progress) -> Check:
        progress.doing("estimating what FP16 does to it")
        found = verification.estimate_half(self.prepared, self.images.held_out)
        return Check(*STORED, found.outputs(), pass_above_db=30, fail_below_db=15, resolution=2**-11)

    def _calibration(self) -> dict[str, Any]:
        record = self.network.calibration
        wanted = ("set", "method", "images", "quantizer", "control")
        return {
            "status": "compiled" if self.compiled else LABEL,
            "precision": self.spec.target_precision.value,
            **{key: record[key] for key in wanted if key in record},
        }


def _batches(pictures: Pictures) -> Iterator[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """The pictures in groups that one run of the toolchain gets, with their names."""
    each = sum(math.prod(item.shape) * 4 for item in pictures.inputs)
    size = max(1, min(BATCH, BATCH_BYTES // each))
    for first in range(0, len(pictures), size):
        places = range(first, min(first + size, len(pictures)))
        yield pictures.names[first : first + size], [pictures[place] for place in places]
