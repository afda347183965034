"""Measures a converted model, for every platform alike: what can be run comes from the platform, the judging is here.

A platform says by which methods it is measured. The images pass once for all methods that share a model, one at a time,
so that memory does not grow with their number; a model is loaded when its methods' turn comes, and let go after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, repeat
from typing import Any, Protocol

from onnx import ModelProto

from oakmill.calibration.labels import Labels
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import GENERATED, Images, SampleSet
from oakmill.conversion.passport import choose_tasks, detectors
from oakmill.conversion.passport import made_up as made_up_numbers
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.bounds import HALF, QUANTIZED, Bounds
from oakmill.conversion.passport.labelled import Truth, unused
from oakmill.conversion.passport.measurement import Measurement
from oakmill.conversion.passport.observed import OutputEncoding
from oakmill.conversion.passport.preprocessing_checks import Certainty, image_size, of_calibration_images, of_inputs
from oakmill.conversion.passport.report import Check, HeldOut, Overflow, Passport, overflows
from oakmill.conversion.passport.twins import Twins
from oakmill.conversion.prepare import Prepared
from oakmill.findings import Finding, worst_first
from oakmill.graph import equality, half
from oakmill.graph.ties import Choices

AT_ONCE, AT_ONCE_BYTES = 64, 256 << 20
"""Samples that one run of a toolchain gets, and bytes of their inputs and outputs: a start of it costs as much as some
thirty small ones."""
WITHOUT_CALIBRATION = (
    "nothing was quantized, so FP16 loses it: look which tensors leave its range, end the network before this output "
    "(--outputs), or compare with another platform"
)

_SHARES = frozenset({"Sigmoid", "HardSigmoid", "Softmax"})
_MOVING = frozenset({"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity"})

Run = Callable[[Sequence[Outputs]], Iterable[Outputs]]
"""Runs samples as the converted model takes them; gives the outputs of each."""
Differs = Callable[[Twins], Iterable[Finding]]
"""What it means how far a finished file and its simulation agree."""


Overflowing = Callable[[], tuple[Overflow, ...]]
"""Looks for tensors whose values leave the range of FP16."""


class App(Protocol):
    """What reads the outputs as a camera's program would."""

    def add(self, image: str, raw: Outputs, reference: Outputs, found: Outputs) -> None:
        """Add one image: what the converted model takes, what the float model and the device give."""

    def told(self, passport: Passport) -> Passport:
        """The passport with what it found."""


class Model(Protocol):
    """What runs one sample."""

    def run(self, feeds: Mapping[str, Any]) -> Outputs:
        """The outputs by name."""


@dataclass(frozen=True, eq=False)
class Runnable:
    """A model that can be run: `load` makes it ready; `most` is how many images it runs, where not all of them.

    It takes samples as the converted model does, and gives outputs as the source model does: names and layout.
    """

    load: Callable[[], Run]
    most: int | None = None


def source_model(prepared: Prepared) -> Runnable:
    """The source model in onnxruntime."""

    def load() -> Run:
        session = equality.Session(prepared.original)
        return lambda samples: (session.run(prepared.feeds(raw)) for raw in samples)

    return Runnable(load)


def in_process(prepared: Prepared, make: Callable[[], Model]) -> Runnable:
    """A model that runs in this process, made when it is needed."""

    def load() -> Run:
        model = make()
        return lambda samples: (prepared.restored(model.run(raw)) for raw in samples)

    return Runnable(load)


def half_estimate(prepared: Prepared) -> Runnable:
    """The prepared graph in onnxruntime, its weights and every tensor rounded to FP16."""
    return in_process(prepared, lambda: equality.Session(half.half_estimate(prepared.model), optimise=False))


def by_toolchain(prepared: Prepared, infer: Run, most: int | None = None) -> Runnable:
    """A converted model that a toolchain runs."""
    return Runnable(lambda: lambda samples: map(prepared.restored, infer(samples)), most)


@dataclass(frozen=True)
class Method:
    """One way to measure: a model against another, under a short name and in words.

    `bounds` judge outputs by their SNR where no task decides; without `decides` tasks are shown only. With `looks` its
    numbers are searched for the known ways to fail. `simulated` is a model that should do as the candidate does: on
    the same images both are compared with the reference, and `differs` says what their difference means. With
    `as_device` its candidate gives what the device would give, as far as that can be had here.
    """

    name: str
    words: str
    candidate: Runnable
    reference: Runnable
    bounds: Bounds = QUANTIZED
    decides: bool = True
    looks: bool = False
    encodings: Mapping[str, OutputEncoding] = field(default_factory=dict)
    simulated: Runnable | None = None
    differs: Differs | None = None
    as_device: bool = False

    @property
    def models(self) -> tuple[Runnable, ...]:
        """All that it runs, the reference first."""
        return (self.reference, self.candidate, *([self.simulated] if self.simulated else []))


STORED = (
    "FP16 estimate",
    "estimate of FP16 storage: weights and activations rounded to FP16 in onnxruntime, against the prepared network "
    "in float32",
)


def stored_in_half(prepared: Prepared, *, looks: bool = False) -> Method:
    """What FP16 does to a network that stays in floating point."""
    itself = in_process(prepared, lambda: equality.Session(prepared.model))
    return Method(*STORED, half_estimate(prepared), itself, HALF, looks=looks)


@dataclass(frozen=True)
class Subject:
    """What a platform says of one conversion that is to be measured.

    `source` is the source model; `calibration` what the passport tells of the images that calibrated; `findings` what
    the platform itself has to say; `overflowing` looks for tensors that leave the range of FP16, where the
    device computes in it.
    """

    platform: str
    prepared: Prepared
    images: Images
    source: Runnable
    methods: tuple[Method, ...]
    not_proven: tuple[str, ...]
    calibration: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    overflowing: Overflowing | None = None


def measure(subject: Subject, progress: Progress, app: App | None = None) -> Passport:
    """Run every method on its images, look for what fails without a word, and judge; `app` sees what a device gives."""
    passport = _measured(subject, progress, app)
    if app is None:
        return passport
    progress.doing("asking the vendor's parser")
    return app.told(passport)


def _measured(subject: Subject, progress: Progress, app: App | None) -> Passport:
    samples = subject.images.held_out
    certainty = Certainty(subject.prepared, samples)
    counts = [_Counts(method, subject.prepared, subject.images, app) for method in subject.methods]
    for together in _passes(counts):
        _pass(together, subject, certainty, progress)
    findings = [*subject.findings, *(finding for item in counts for finding in item.findings())]
    findings += of_calibration_images(subject.prepared, subject.images)
    findings += [*of_inputs(subject.prepared), *certainty.findings(subject.source.load, progress)]
    made_up = samples.source == GENERATED and not all(item.is_image for item in subject.prepared.boundary)
    overflowing = None if made_up else subject.overflowing
    if made_up:  # numbers that nobody feeds it may be too large for it, or make no numbers
        findings = [item for item in findings if item.code != "undefined"]
        if subject.overflowing:
            progress.doing("asking about numbers that were not made up")
            findings += made_up_numbers.findings(subject.prepared.boundary, samples, subject.source.load())
    if overflowing:
        progress.doing("looking for values beyond FP16")
        findings += counts[0].vanishing()
    if labels := subject.images.labels:
        findings += counts[0].unjudged(labels)
    used = subject.images.calibration_images
    quantized = bool(used or subject.calibration.get("images"))
    apart = f"none of them is among the {len(used)} images that calibrated the quantization" if used else ""
    return Passport(
        subject.platform,
        HeldOut(samples.source, samples.names, apart),
        tuple(item.check() for item in counts),
        fp16_overflows=overflowing() if overflowing else (),
        not_proven=subject.not_proven,
        findings=worst_first(findings if quantized else map(_without_calibration, findings)),
        calibration=subject.calibration,
    )


def _without_calibration(finding: Finding) -> Finding:
    """What quantization would be blamed for, of a model that was not quantized."""
    blamed = finding.code in ("dead_output", "class_collapse", "lost_classes", "wrong_scale")
    return replace(finding, remedy=WITHOUT_CALIBRATION) if blamed else finding


class _Counts:
    """What one method's run adds up to."""

    def __init__(self, method: Method, prepared: Prepared, images: Images, app: App | None = None) -> None:
        self.method = method
        self._app = app if method.as_device else None
        self._prepared = prepared
        self._measurement: Measurement | None = None
        self._size = image_size(prepared)
        self._truth = Truth.of(images.labels, images.held_out, self._size, images.resize)
        self._twins = Twins(prepared.heads, self._size)

    def add(self, image: str, raw: Outputs, outputs: Mapping[Runnable, Outputs | None]) -> None:
        """Add one image, where the method's models ran it."""
        method = self.method
        expected, found = outputs[method.reference], outputs[method.candidate]
        if expected is None or found is None:
            return
        self._measurement = self._measurement or self._begun(expected)
        self._measurement.add(image, expected, found)
        if method.simulated and (twin := outputs[method.simulated]) is not None:
            self._twins.add(image, expected, twin, found)
        if self._app:
            self._app.add(image, raw, expected, found)

    def _begun(self, expected: Outputs) -> Measurement:
        outputs = choose_tasks.tensors_of(expected)
        return Measurement(outputs, self._prepared.heads, self._size, self.method.encodings, self._truth)

    def check(self) -> Check:
        """The check."""
        method = self.method
        measurement = self._measurement or self._begun({})
        return measurement.check(method.name, method.words, method.bounds, decides=method.decides)

    def unjudged(self, labels: Labels) -> list[Finding]:
        """That nothing could be judged by the labels, where so."""
        judges = self._measurement.judges if self._measurement else ()
        return [] if any(judge.counts for judge in judges) else [unused(labels, self._truth, judges)]

    def vanishing(self) -> list[Finding]:
        """The outputs too small for FP16; shares of 1 that are near 0 on all images say as little in any format."""
        outputs, shares = self._measurement.comparison.outputs() if self._measurement else (), _shares(self._prepared)
        return [found for output in outputs if output.name not in shares and (found := detectors.vanishing(output))]

    def findings(self) -> Iterator[Finding]:
        """What its numbers show."""
        if self.method.looks and self._measurement:
            yield from self._measurement.findings()
        if self.method.differs and self._measurement:
            yield from self.method.differs(self._twins)


def _shares(prepared: Prepared) -> set[str]:
    """The source's outputs that a Sigmoid or Softmax makes, with nothing behind it that computes."""
    graph = prepared.original.graph if isinstance(prepared.original, ModelProto) else None
    makers = {name: node for node in (graph.node if graph else ()) for name in node.output}
    found = set()
    for output in graph.output if graph else ():
        node = makers.get(output.name)
        while node is not None and node.op_type in _MOVING:
            node = makers.get(node.input[0])
        if node is not None and node.op_type in _SHARES:
            found.add(output.name)
    return found


def _passes(counts: Iterable[_Counts]) -> list[list[_Counts]]:
    """Methods that share a model, together: the images pass once for each such group."""
    passes: list[list[_Counts]] = []
    for item in counts:
        models = set(item.method.models)
        shared = [group for group in passes if any(models & set(other.method.models) for other in group)]
        passes = [*(group for group in passes if group not in shared), [*chain(*shared), item]]
    return passes


def _pass(counts: Sequence[_Counts], subject: Subject, certainty: Certainty, progress: Progress) -> None:
    """Run all images through the models of some methods, side by side."""
    models = dict.fromkeys(model for item in counts for model in item.method.models)
    running = {model: model.load() for model in models}
    source, samples, done = running.get(subject.source), subject.images.held_out, 0
    choices = Choices(subject.prepared.original)
    for chunk in chunks(subject.prepared, samples, _most(running)):
        streams = (_run(run, chunk, model.most, done) for model, run in running.items())
        for place, found in enumerate(zip(*streams, strict=True), start=done):
            progress.doing("measuring the converted model", place, len(samples))
            outputs = dict(zip(running, found, strict=True))
            own = outputs[subject.source if source else counts[0].method.reference]
            if own is not None:
                outputs = _settled(choices, subject.prepared.feeds(chunk[place - done]), own, outputs)
            for item in counts:
                item.add(samples.names[place], chunk[place - done], outputs)
            if source and (expected := outputs[subject.source]) is not None:
                certainty.add(chunk[place - done], expected)
        if source:
            certainty.ask_again(source)
        done += len(chunk)


def _settled(
    choices: Choices, feeds: Outputs, own: Outputs, outputs: Mapping[Runnable, Outputs | None]
) -> dict[Runnable, Outputs | None]:
    """All models' outputs, of which a choice among equal scores is that of one, the source if it runs with them."""
    return {model: found and choices.settled(feeds, own, found) for model, found in outputs.items()}


def _most(models: Iterable[Runnable]) -> int:
    """How many images those take together that do not take all: they get them in one run."""
    return max((model.most or 0 for model in models), default=0)


def _run(run: Run, chunk: Sequence[Outputs], most: int | None, done: int) -> Iterator[Outputs | None]:
    """Each sample's outputs, None for those that the model does not run, or has no time for."""
    part = chunk if most is None else chunk[: max(0, most - done)]
    return islice(chain(run(part) if part else (), repeat(None)), len(chunk))


def chunks(prepared: Prepared, samples: SampleSet, least: int = 1) -> Iterator[list[dict[str, Any]]]:
    """The images in groups, each of which one run of a toolchain gets; at least so many in each."""
    shapes = [*(item.shape for item in prepared.boundary), *(tensor.shape for tensor in prepared.outputs)]
    each = sum(4 * math.prod(size for size in shape if isinstance(size, int)) for shape in shapes)
    size = max(least, min(AT_ONCE, AT_ONCE_BYTES // max(each, 1)), 1)
    for first in range(0, len(samples), size):
        yield [samples[place] for place in range(first, min(first + size, len(samples)))]


def graph_overflows(prepared: Prepared, samples: SampleSet) -> tuple[Overflow, ...]:
    """The tensors of an ONNX graph that leave the range of FP16 on some image."""
    model = half.activation_peaks(prepared.model)
    session = equality.Session(model)
    wanted = [value.name for value in model.graph.output if value.name.startswith(half.PEAK)]
    if not wanted:  # whole numbers and truth values only
        return ()
    found = (
        (name, {key.removeprefix(half.PEAK): float(peak) for key, peak in session.run(raw, wanted).items()})
        for name, raw in zip(samples.names, samples, strict=True)
    )
    return overflows(found)
