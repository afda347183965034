"""The prepare stage: from the source's graph to one that the platform's compiler reads rightly, proved equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.inputs import ResolvedInput, findings, match, resolve
from oakmill.conversion.plain_numbers import in_plain_numbers
from oakmill.errors import OakmillError, PreparationFailed, ProofFailed, UnsupportedModel
from oakmill.graph import (
    boundary,
    decompose,
    empties,
    equality,
    exact,
    explicit,
    first_opsets,
    folding,
    indices,
    large,
    masks,
    opset,
    preprocessing,
    reductions,
    shapes,
    simplify,
    ties,
    variance,
)
from oakmill.graph.naming import name_nodes
from oakmill.graph.outputs import keep_names
from oakmill.graph.preprocessing import Preprocessing
from oakmill.graph.skeleton import copy_of, dimensions, freeze, opset_version, source_inputs
from oakmill.model import weights
from oakmill.model.source import SourceModel, Tensor
from oakmill.spec import ConversionSpec, InputSpec

PROOF_SAMPLES = 2

_CENTRED = equality.Tolerance(snr_db=30, outliers=1)
"""How near a source is to itself with other variances: magika's was 46 dB by its own rounding in float32."""
_NOTE = "oakmill.note"
"""The key of what a prepared graph's metadata says of how it was made."""

Simplifier = Callable[[onnx.ModelProto], onnx.ModelProto]
Make = Callable[[], onnx.ModelProto]
Keep = Callable[[onnx.ModelProto, object, Make], onnx.ModelProto]
"""Gives a source graph with fixed shapes, made plain for the compiler: what was made of the same before, or made now.
What decides how it is made comes second."""


@dataclass(frozen=True)
class Needs:
    """What a platform asks of a graph: its opset, the operations that its compiler lacks, the layout of its boundary.

    With `channels_last`, images come in and outputs of four dimensions go out as NHWC, and no integer has 64 bits.
    With `plain_numbers`, there are no other types than float32 and int32; with `quantizes`, no quantizers and no
    constant outputs either; with `exact`, what Qualcomm's compiler misreads is written in other operators; with
    `mends_openvino`, so is what OpenVINO 2022.2 does.
    """

    highest_opset: int
    lowest_opset: int = 1
    decompose: tuple[str, ...] = ()
    channels_last: bool = False
    plain_numbers: bool = False
    quantizes: bool = False
    exact: bool = False
    mends_openvino: bool = False


@dataclass(frozen=True)
class Prepared:
    """The graph to compile, the source's graph with fixed shapes to compare with, and the inputs as decided.

    `plain` is the graph to compile without its preprocessing, for a tool that embeds it. `inputs` are those of the
    source; `boundary` are the same as the converted model takes them, and `outputs` as it gives them. `turned` are
    the outputs that became NHWC. `heads` are what the NN Archive says the outputs mean. `names` are the source's names
    of inputs and outputs by those of the converted model, where the platform has others.
    """

    model: onnx.ModelProto
    plain: onnx.ModelProto
    original: onnx.ModelProto
    inputs: tuple[ResolvedInput, ...]
    outputs: tuple[Tensor, ...]
    boundary: tuple[ResolvedInput, ...] = ()
    turned: frozenset[str] = frozenset()
    heads: tuple[Mapping[str, Any], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def image_inputs(self) -> list[str]:
        """The inputs that come in as pixels of 8 bits."""
        return [item.name for item in self.boundary if item.is_image]

    def feeds(self, raw: Mapping[str, equality.Array]) -> dict[str, equality.Array]:
        """What the converted model takes, as the source model takes it.

        In the source's layout and type, channels reversed, mean subtracted, divided by scale.
        """
        found = {}
        for item, outer in zip(self.inputs, self.boundary, strict=True):
            array = raw[outer.name]
            if item.layout != outer.layout:
                array = array.transpose([outer.layout.index(letter) for letter in item.layout])
            found[item.name] = preprocessing.apply(array.astype(item.dtype), as_preprocessing(item))
        return found

    def restored(self, outputs: Mapping[str, equality.Array]) -> dict[str, equality.Array]:
        """The converted model's outputs by the source model's names, and in its layout."""
        return {
            self.names.get(name, name): values.transpose(boundary.TO_FIRST) if name in self.turned else values
            for name, values in outputs.items()
        }


def make_anew(fixed: onnx.ModelProto, asked: object, make: Make) -> onnx.ModelProto:
    """Keep nothing."""
    return make()


def prepare(
    model: onnx.ModelProto,
    source: SourceModel,
    asked: Sequence[InputSpec],
    spec: ConversionSpec,
    needs: Needs,
    progress: Progress,
    keep: Keep = make_anew,
) -> Prepared:
    """Fix shapes, simplify, lower the opset, decompose, embed the preprocessing, and prove the result equal.

    What `keep` has was proved when it was made, with the same inputs.

    Raises:
        SpecError: a value does not fit the model.
        DynamicShape: an input's shape stays open.
        UnsupportedOpset: the graph cannot be brought to the opset that the compiler reads.
        PreparationFailed: a step failed; ProofFailed: the result computes something else.
    """
    by_name = match(asked, source.inputs)
    known = first_opsets.to_seven(model)
    if known is not model:
        progress.note(f"the model's opset {opset_version(model)} is written as 7, the first that onnxruntime runs")
    fixed = shapes.fix_input_shapes(known, {name: item.shape for name, item in by_name.items() if item.shape})
    for note in fixed.notes:
        progress.note(note)
    original = fixed.model
    if needs.plain_numbers:
        original = in_plain_numbers(original, progress, quantizes=needs.quantizes)
    original, single = boundary.with_dimensions(original)
    for name in single:
        progress.note(f"input {name!r} is a single number: the converted model takes it with one dimension, of size 1")
    inputs = decide({value.name: _tensor(value) for value in source_inputs(original)}, by_name, progress)
    limits = indices.limits(original)
    inputs = tuple(replace(item, limits=limits.get(item.name)) for item in inputs)
    heads = tuple((source.archive or {}).get("model", {}).get("heads") or ())
    original = _centred(original, limits, spec.seed, progress)
    making = _Making(original, inputs, spec, needs, heads, progress)
    wanted = {**asdict(needs), "decompose": sorted(needs.decompose)}  # the same in every process
    decides = [spec.disable_onnx_simplification, spec.seed, wanted, list(map(repr, inputs))]
    plain = keep(original, decides, making.plain)
    for item in plain.metadata_props:
        if item.key == _NOTE:
            progress.note(item.value)
    prepared = making.proved or making.embedded(plain)
    for new, old in prepared.names.items():
        if new != old:
            progress.note(f"{old!r} is called {new!r} in the converted model")
    return prepared


def _centred(
    model: onnx.ModelProto, limits: Mapping[str, tuple[int, int]], seed: int, progress: Progress
) -> onnx.ModelProto:
    """The source with its variances about the mean, which the result is compared with: what float32 leaves of a small
    difference of large numbers proves nothing. The source as it is, where that is too far from it."""
    centred = variance.centre_variances(model)
    if centred is model:
        return model
    feeds = equality.random_inputs(model, seed, limits)
    differences = equality.compare(equality.run(model, feeds), equality.run(centred, feeds), _CENTRED)
    if not all(item.passed for item in differences):
        return model
    progress.note("its variances, written as mean(x^2) - mean(x)^2, are computed about the mean: FP16 loses them")
    return centred


@dataclass
class _Making:
    """Makes the plain graph of a source's with fixed shapes, and proves it: simplified, or else its constants folded.

    `proved` is the last that was made.
    """

    model: onnx.ModelProto
    inputs: tuple[ResolvedInput, ...]
    spec: ConversionSpec
    needs: Needs
    heads: tuple[Mapping[str, Any], ...]
    progress: Progress
    proved: Prepared | None = None

    def plain(self) -> onnx.ModelProto:
        """The plain graph, proved; where the simplifier is in the way, its metadata has a note that it did without."""
        off = self.spec.disable_onnx_simplification
        in_files = any(weights.references(self.model))
        self.progress.doing("leaving the graph as it is" if off else "simplifying")
        if in_files and not off:
            self.progress.note("the weights stay in the source's files: the graph is simplified around them")
        around = simplify.around_weights if in_files else _whole
        first = _as_it_is if off else partial(around, simplifier=simplify.simplify)
        in_the_way = (PreparationFailed, UnsupportedModel) if off else (PreparationFailed,)
        try:
            return self._attempt(first)
        except in_the_way as error:
            self.progress.doing("folding its constants instead")
            return self._attempt(partial(around, simplifier=folding.fold_constants), _why_folded(error, off=off))

    def _attempt(self, simplified: Simplifier, note: str = "") -> onnx.ModelProto:
        plain = self._lowered(simplified)
        if note:
            plain = copy_of(plain)
            plain.metadata_props.add(key=_NOTE, value=note)
        made = self.embedded(plain)
        self.progress.doing("proving that it computes the same")
        prove(made, self.spec.seed)
        self.proved = made
        return plain

    def _lowered(self, simplified: Simplifier) -> onnx.ModelProto:
        """In the operations and the opset that the compiler reads rightly, its constants as initializers."""
        simple = simplified(explicit.write_axes(self.model))
        changed = opset.inline_functions(simple, self.needs.highest_opset)
        if changed is not simple:  # the bodies of functions are written for any shape
            changed = folding.fold_constants(changed) if simplified is _as_it_is else simplified(changed)
        changed = opset.lower_opset(changed, self.needs.highest_opset)
        changed = empties.without_empty_parts(changed)
        changed = explicit.write_out(changed, compares_whole="Less" not in self.needs.decompose)
        changed = opset.raise_opset(changed, self.needs.lowest_opset)
        if self.needs.mends_openvino:
            changed = masks.with_finite_masks(changed)
        changed = decompose.decompose(changed, self.needs.decompose)
        if self.needs.mends_openvino:
            changed = reductions.in_four_axes(changed)
        changed = keep_names(exact.write_exactly(changed) if self.needs.exact else changed)
        changed = folding.constants_as_initializers(changed)
        name_nodes(changed)
        return changed

    def embedded(self, plain: onnx.ModelProto) -> Prepared:
        """With the preprocessing in it, and the boundary that the platform wants."""
        changed = preprocessing.embed(plain, [as_preprocessing(item) for item in self.inputs])
        prepared = Prepared(
            changed, plain, self.model, self.inputs, _outputs(changed), self.inputs, heads=self.heads
        )  # fmt: skip
        return _channels_last(prepared) if self.needs.channels_last else prepared


def _as_it_is(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


def _whole(model: onnx.ModelProto, simplifier: Simplifier) -> onnx.ModelProto:
    return simplifier(model)


def _why_folded(error: OakmillError, *, off: bool) -> str:
    did = "onnxruntime folded its constants instead"
    if isinstance(error, ProofFailed):
        how = "left as it is" if off else "simplified by onnxslim"
        return f"{how}, the model computed something else at output {error.subject!r}: {did}"
    return f"{error.message.rstrip('.')}: {did}"


def _channels_last(prepared: Prepared) -> Prepared:
    """With NHWC at its boundary, where an image was NCHW, and names that every vendor's tool leaves as they are."""
    inputs = prepared.inputs
    images = [item.name for item in inputs if item.is_image and item.layout == "NCHW"]
    model = boundary.interleave(freeze(prepared.model), images, outputs=bool(images))
    names = boundary.plain_names(boundary.narrow_integers(model))
    maps = [item for item in prepared.outputs if len(item.shape) == 4 and item.dtype.startswith("float")]
    source_maps = {item.name for item in maps} if images else set()
    turned = frozenset(new for new, old in names.items() if old in source_maps)
    new_names = {old: new for new, old in names.items()}
    outer = tuple(replace(item.channels_last(), name=new_names[item.name]) for item in inputs)
    return replace(prepared, model=model, outputs=_outputs(model), boundary=outer, turned=turned, names=names)


def _outputs(model: onnx.ModelProto) -> tuple[Tensor, ...]:
    return tuple(map(_tensor, model.graph.output))


def decide(
    tensors: Mapping[str, Tensor], by_name: Mapping[str, InputSpec], progress: Progress
) -> tuple[ResolvedInput, ...]:
    """Each input of fixed shape with what was asked of it; the decisions are told.

    Raises:
        SpecError: a value does not fit its input.
    """
    inputs = tuple(resolve(item, tensors[name]) for name, item in by_name.items())
    for item in inputs:
        progress.note(_in_words(item))
        for found in findings(item):
            progress.warn(f"{found.message}; {found.remedy}")
    return inputs


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    return Tensor(value.name, dimensions(kind) or (), dtype)


def _in_words(item: ResolvedInput) -> str:
    shape = "x".join(map(str, item.shape))
    words = f"input {item.name!r}: {item.layout} {shape}, {item.encoding_from} model"
    if item.encoding_from != item.encoding_to or item.is_image:
        words += f" takes {item.encoding_to}"
    if item.mean:
        words += f", mean {_numbers(item.mean)}"
    if item.scale:
        words += f", scale {_numbers(item.scale)}"
    return words


def _numbers(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def as_preprocessing(item: ResolvedInput) -> Preprocessing:
    """The input's preprocessing as the graph takes it."""
    return Preprocessing(item.name, item.layout, item.mean, item.scale, item.reverse_channels)


def prove(prepared: Prepared, seed: int) -> None:
    """Run both in onnxruntime: the prepared one on raw input, the original on input preprocessed in numpy.

    One after the other, so that no more than one holds its weights. Which of equal scores an operator chooses does not
    count (`ties`).

    Raises:
        ProofFailed: an output differs by more than float arithmetic explains.
    """
    samples = list(SampleSet.generated(prepared.boundary, PROOF_SAMPLES, seed))
    expected = equality.run_each(prepared.original, map(prepared.feeds, samples))
    found = equality.run_each(prepared.model, samples)
    for raw, wanted, outputs in zip(samples, expected, map(prepared.restored, found), strict=True):
        try:
            equality.require_equal(_narrow(wanted), _narrow(outputs))
        except ProofFailed:
            chosen = ties.answers(prepared.original, prepared.feeds(raw), prepared.model, raw, outputs)
            if chosen is None:
                raise
            equality.require_equal(_narrow(chosen), _narrow(outputs))


def _narrow(outputs: Mapping[str, equality.Array]) -> dict[str, equality.Array]:
    """Integers in 32 bits, as devices give them."""
    return {name: values.astype(np.int32) if values.dtype == np.int64 else values for name, values in outputs.items()}


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write a graph for a tool, its weights beside it where they are more than one file can hold; makes the folder.

    Raises:
        PreparationFailed: it cannot be written.
    """
    path.parent.mkdir(parents=True)
    try:
        return large.save(model, path)
    except (ValueError, EncodeError, OSError) as error:
        raise PreparationFailed(f"the prepared model cannot be written: {error}") from error
