"""Runs a finished file without its source: whether it runs at all, and gives numbers that depend on what it sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oakmill.conversion.events import Progress
from oakmill.conversion.finished import Finished, Found
from oakmill.conversion.images import choose
from oakmill.conversion.inputs import ResolvedInput, guess_layout
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.verify.artefact import FRESH, Artefact
from oakmill.findings import Finding, Severity
from oakmill.graph.equality import Array
from oakmill.heads.decoders import Size
from oakmill.model.source import Tensor
from oakmill.spec import ConversionSpec, Encoding

MOST = 8
"""Images: these show whether it runs, not how well."""
_MAP = 4
"""Dimensions of an output that is a map."""


@dataclass(frozen=True)
class Trial:
    """On how many images it ran, from where they came, and what was seen."""

    ran: int
    source: str
    findings: tuple[Finding, ...]


@dataclass
class _Output:
    """What one output gave, image by image."""

    first: Array | None = None
    unlike: bool = False
    not_numbers: list[str] = field(default_factory=list)

    def add(self, image: str, values: Array) -> None:
        """One image's values."""
        if self.first is None:
            self.first = values
        self.unlike = self.unlike or values.shape != self.first.shape or not np.array_equal(values, self.first)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            self.not_numbers.append(image)


def run(finished: Finished, found: Found, artefact: Artefact, spec: ConversionSpec, progress: Progress) -> Trial:
    """Run it on the user's images, else on generated ones.

    Raises:
        SourceError: an image cannot be read.
        SpecError: they do not fit the inputs.
        RunnerError, ToolKilled, LimitExceeded: it cannot be run.
    """
    inputs = inputs_of(found.inputs, artefact)
    images = choose.choose_test_images(spec, inputs, progress).held_out.head(MOST)
    samples = [cast(sample, found.inputs) for sample in images]
    seen: dict[str, _Output] = {tensor.name: _Output() for tensor in found.outputs}
    ran = 0
    progress.doing("running the file", 0, len(samples))
    for ran, outputs in enumerate(finished.run(found, samples, progress), start=1):
        progress.doing("running the file", ran, len(samples))
        for name, values in outputs.items():
            seen.setdefault(name, _Output()).add(images.names[ran - 1], np.asarray(values))
    return Trial(ran, images.source, tuple(_findings(seen, ran)))


def _findings(seen: Mapping[str, _Output], ran: int) -> Iterator[Finding]:
    for name, output in seen.items():
        if output.not_numbers:
            said = f"output {name!r} holds values that are not numbers on {len(output.not_numbers)} of {ran} images"
            helps = "compare with the model itself: --source MODEL --images FOLDER"
            yield Finding("not_finite", Severity.ERROR, said, "Values that are not numbers", helps, name)
        elif not output.unlike and ran > 1:
            said = f"output {name!r} is the same on all {ran} images, whatever they show"
            helps = f"compare with the model itself (--source MODEL --images FOLDER), which may do so too; else {FRESH}"
            yield Finding("constant_output", Severity.WARNING, said, "An output that sees nothing", helps, name)


def cast(sample: Outputs, tensors: Sequence[Tensor]) -> dict[str, Any]:
    """A sample in the number formats of the file's inputs."""
    return {tensor.name: sample[tensor.name].astype(tensor.dtype, copy=False) for tensor in tensors}


def inputs_of(tensors: Sequence[Tensor], artefact: Artefact) -> tuple[ResolvedInput, ...]:
    """The file's inputs, as far as its documents say what they take; else by their shapes."""
    model = artefact.config.get("model")
    listed = model.get("inputs") if isinstance(model, Mapping) else None
    stated = {item.get("name"): item for item in listed or () if isinstance(item, Mapping)}
    return tuple(_input(tensor, stated.get(tensor.name) or {}, artefact) for tensor in tensors)


def _input(tensor: Tensor, stated: Mapping[str, Any], artefact: Artefact) -> ResolvedInput:
    shape = tuple(size for size in tensor.shape if isinstance(size, int))
    recorded = artefact.recipe.inputs if artefact.recipe else ()
    own = next((item for item in recorded if item.name == tensor.name or len(recorded) == 1), None)
    layout = str(stated.get("layout") or (own.layout if own and own.shape == shape else guess_layout(shape)))
    takes_pixels = stated.get("input_type") == "image" or (own is not None and own.encoding_to is not Encoding.NONE)
    takes_pixels = takes_pixels or (not stated and own is None and tensor.dtype == "uint8")
    colour = _colour(stated, own.encoding_to if own else None)
    layout = layout if len(layout) == len(shape) else guess_layout(shape)
    channels = shape[layout.index("C")] if "C" in layout else 1
    taken = (Encoding.GRAY if channels == 1 else colour) if takes_pixels else Encoding.NONE
    dtype = "float32" if takes_pixels or tensor.dtype.startswith("float") else tensor.dtype
    arrays = own.layout if own and own.layout != layout and sorted(own.layout) == sorted(layout) else ""
    return ResolvedInput(tensor.name, shape, dtype, layout, taken, taken, None, None, arrays)


def _colour(stated: Mapping[str, Any], recorded: Encoding | None) -> Encoding:
    preprocessing = stated.get("preprocessing")
    kind = preprocessing.get("dai_type") if isinstance(preprocessing, Mapping) else None
    if isinstance(kind, str) and kind[:3] in ("RGB", "BGR"):
        return Encoding(kind[:3])
    return recorded if recorded in (Encoding.RGB, Encoding.BGR) else Encoding.BGR


def as_trained(outputs: Outputs, *, channels_last: bool) -> Outputs:
    """In float32, and maps channels first, as heads are read, where a platform's files give them last."""
    found = {name: values.astype("float32", copy=False) for name, values in outputs.items()}
    if not channels_last:
        return found
    return {name: values.transpose(0, 3, 1, 2) if values.ndim == _MAP else values for name, values in found.items()}


def size_of(inputs: Sequence[ResolvedInput]) -> Size | None:
    """Height and width of the image input."""
    item = next((item for item in inputs if item.is_image and {"H", "W"} <= set(item.layout)), None)
    return (item.shape[item.layout.index("H")], item.shape[item.layout.index("W")]) if item else None
