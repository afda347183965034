"""The prepare stage: from the source's graph to one that the platform's compiler reads rightly, proved equal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx

from oakmill.conversion.events import Progress
from oakmill.conversion.inputs import ResolvedInput, match, resolve, warnings
from oakmill.conversion.pictures import Pictures
from oakmill.graph import decompose, equality, opset, preprocessing, shapes, simplify
from oakmill.graph.outputs import keep_names
from oakmill.graph.preprocessing import Preprocessing
from oakmill.graph.skeleton import dimensions, source_inputs
from oakmill.model.source import SourceModel, Tensor
from oakmill.spec import ConversionSpec, InputSpec

PROOF_PICTURES = 2


@dataclass(frozen=True)
class Needs:
    """What a platform's compiler asks of a graph: its highest opset, and the operations that it lacks."""

    highest_opset: int
    decompose: Collection[str] = ()


@dataclass(frozen=True)
class Prepared:
    """The graph to compile, the source's graph with fixed shapes to compare with, and the inputs as decided.

    `plain` is the graph to compile without its preprocessing, for a tool that embeds it.
    """

    model: onnx.ModelProto
    plain: onnx.ModelProto
    original: onnx.ModelProto
    inputs: tuple[ResolvedInput, ...]
    outputs: tuple[Tensor, ...]


def prepare(
    model: onnx.ModelProto,
    source: SourceModel,
    asked: Sequence[InputSpec],
    spec: ConversionSpec,
    needs: Needs,
    progress: Progress,
) -> Prepared:
    """Fix shapes, simplify, lower the opset, decompose, embed the preprocessing, and prove the result equal.

    Raises:
        SpecError: a value does not fit the model.
        DynamicShape: an input's shape stays open.
        UnsupportedOpset: the graph cannot be brought to the opset that the compiler reads.
        PreparationFailed: a step failed; ProofFailed: the result computes something else.
    """
    by_name = match(asked, source.inputs)
    fixed = shapes.fix_input_shapes(model, {name: item.shape for name, item in by_name.items() if item.shape})
    for note in fixed.notes:
        progress.note(note)
    inputs = _resolve(fixed.model, by_name, progress)
    progress.doing("simplifying" if not spec.disable_onnx_simplification else "leaving the graph as it is")
    changed = fixed.model if spec.disable_onnx_simplification else simplify.simplify(fixed.model)
    changed = opset.lower_opset(changed, needs.highest_opset)
    plain = keep_names(decompose.decompose(changed, needs.decompose))
    changed = preprocessing.embed(plain, [as_preprocessing(item) for item in inputs])
    progress.doing("proving that it computes the same")
    prove(fixed.model, changed, inputs, spec.seed)
    outputs = tuple(map(_tensor, changed.graph.output))
    return Prepared(changed, plain, fixed.model, inputs, outputs)


def _resolve(model: onnx.ModelProto, by_name: Mapping[str, InputSpec], progress: Progress) -> tuple[ResolvedInput, ...]:
    tensors = {value.name: _tensor(value) for value in source_inputs(model)}
    inputs = tuple(resolve(item, tensors[name]) for name, item in by_name.items())
    for item in inputs:
        progress.note(_in_words(item))
        for warning in warnings(item):
            progress.warn(warning)
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


def prove(original: onnx.ModelProto, prepared: onnx.ModelProto, inputs: Sequence[ResolvedInput], seed: int) -> None:
    """Run both in onnxruntime: the prepared one on raw input, the original on input preprocessed in numpy.

    Raises:
        ProofFailed: an output differs by more than float arithmetic explains.
    """
    reference, candidate = equality.Session(original), equality.Session(prepared)
    for raw in Pictures.generated(inputs, PROOF_PICTURES, seed):
        expected = reference.run(preprocessed(raw, inputs))
        equality.require_equal(expected, candidate.run(raw))


def preprocessed(raw: Mapping[str, equality.Array], inputs: Sequence[ResolvedInput]) -> dict[str, equality.Array]:
    """The raw inputs as the source model takes them: channels reversed, mean subtracted, divided by scale."""
    return {item.name: preprocessing.apply(raw[item.name], as_preprocessing(item)) for item in inputs}
