"""The prepare stage for OpenVINO IR, which is edited in its own format: there is no way from it to ONNX.

What comes out has the same outside as a prepared ONNX graph: inputs as they were decided, outputs, and the source's
network to compare with. Both networks are files here, and whoever proves or measures runs them in OpenVINO itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.inputs import match
from oakmill.conversion.prepare import PROOF_SAMPLES, Prepared, as_preprocessing, decide
from oakmill.conversion.sources.ir_edit import Editor
from oakmill.errors import DynamicShape, PreparationFailed, ProofFailed, SpecError, UnsupportedModel
from oakmill.graph import equality
from oakmill.graph.costs import IR_DOMAIN
from oakmill.model.ir_graph import IrGraph
from oakmill.model.openvino_ir import load_ir, require_finite_ir
from oakmill.model.source import SourceModel, Tensor
from oakmill.spec import ConversionSpec, InputSpec

Run = Callable[[Path, Sequence[Mapping[str, equality.Array]]], Iterable[Mapping[str, equality.Array]]]
"""Runs an .xml in OpenVINO on samples, each with a tensor for each input: every sample's outputs by name.

Raises `CannotRun` where OpenVINO refuses.
"""

_UNKNOWN = "Converting input model"


class CannotRun(PreparationFailed):
    """OpenVINO cannot read or run the network."""


@dataclass(frozen=True, kw_only=True)
class IrPrepared(Prepared):
    """A network in OpenVINO's own format: `file` is the .xml to compile, `source_file` the one to compare with.

    `model`, `plain` and `original` hold its structure alone, so that errors can name a layer; nothing can run them.
    """

    file: Path
    source_file: Path
    editor: Editor


def load_ended(source: SourceModel, ends: Sequence[str], known: int, tools: str) -> IrGraph:
    """The network of an IR, ended where it is to end; `known` is the newest opset that the `tools` know.

    Raises:
        SpecError: it cannot end there.
        BrokenModel: a weight is NaN, or the files have changed.
        UnsupportedModel: it has operations that are newer.
    """
    graph, weights = load_ir(source), source.files[1]
    require_finite_ir(graph, weights)
    if ends:
        editor = Editor(graph, weights)
        editor.cut_at(ends)
        graph = editor.graph
    for layer in graph.operations():
        found = re.fullmatch(r"opset(\d{1,4})", layer.get("version", ""))
        if found and int(found[1]) > known:
            name, kind = layer.get("name", ""), layer.get("type", "")
            raise UnsupportedModel(
                f"layer {name!r} ({kind}) is of OpenVINO's opset {found[1]}; {tools} knows up to {known}",
                subject=name,
                remedy="give the ONNX model itself, or make the IR with the Model Optimizer of an OpenVINO as old as "
                "the compiler's",
            )
    return graph


def prepare_ir(
    graph: IrGraph,
    source: SourceModel,
    asked: Sequence[InputSpec],
    spec: ConversionSpec,
    work: Path,
    run: Run,
    progress: Progress,
) -> IrPrepared:
    """Fix shapes, embed the preprocessing, and prove the result equal by running both networks in OpenVINO.

    Args:
        graph: the source's network, ended where it is to end; it is edited.
        work: a folder that may be made; the networks are written there.

    Raises:
        SpecError: a value does not fit the model, or it cannot take the shape that is asked for.
        DynamicShape: an input's shape stays open.
        ProofFailed: the result computes something else.
        CannotRun: OpenVINO cannot run the source's network.
    """
    by_name = match(asked, source.inputs)
    editor = Editor(graph, source.files[1])
    editor.forget_old_api()
    changed = _fix_shapes(editor, by_name, progress)
    inputs = decide({tensor.name: tensor for tensor in editor.graph.inputs}, by_name, progress)
    if spec.disable_onnx_simplification:
        progress.note("an OpenVINO IR is not simplified in any case")
    source_file = editor.write(work / "original" / "original.xml")
    original = structure(editor.graph)
    for item in inputs:
        editor.embed(as_preprocessing(item))
    file = editor.write(work / "prepared" / "prepared.xml")
    model = structure(editor.graph)
    heads = tuple((source.archive or {}).get("model", {}).get("heads") or ())
    prepared = IrPrepared(
        model, model, original, inputs, editor.graph.outputs, inputs, heads=heads,
        file=file, source_file=source_file, editor=editor,
    )  # fmt: skip
    progress.doing("proving that it computes the same")
    return replace(prepared, outputs=_prove(prepared, spec.seed, run, changed))


def _fix_shapes(editor: Editor, by_name: Mapping[str, InputSpec], progress: Progress) -> bool:
    """Give each input the shape that is asked for; whether a fixed one was changed."""
    changed = False
    for tensor in editor.graph.inputs:
        asked = by_name[tensor.name].shape
        shape = _shape(tensor, asked)
        if shape == tensor.shape:
            continue
        if asked is None:
            progress.note(f"The open batch dimension of input {tensor.name!r} was set to 1.")
        elif None not in tensor.shape:
            changed = True
            progress.note(f"input {tensor.name!r} is brought from {_text(tensor.shape)} to {_text(shape)}")
        editor.set_shape(tensor.name, shape)
    return changed


def _shape(tensor: Tensor, asked: tuple[int, ...] | None) -> tuple[int, ...]:
    if asked is not None:
        if len(asked) != len(tensor.shape):
            raise SpecError(
                f"Input {tensor.name!r} has {len(tensor.shape)} dimensions ({_text(tensor.shape)}), the shape asked "
                f"for has {len(asked)} ({_text(asked)}).",
                subject=tensor.name,
            )
        return asked
    sizes = [1 if axis == 0 and len(tensor.shape) > 1 else size for axis, size in enumerate(tensor.shape)]
    known = tuple(size for size in (sizes if tensor.shape[:1] == (None,) else tensor.shape) if isinstance(size, int))
    if len(known) < len(tensor.shape):
        example = ",".join(str(size if isinstance(size, int) else (1, 3, 320, 320)[min(axis, 3)])
                           for axis, size in enumerate(tensor.shape))  # fmt: skip
        raise DynamicShape(
            f"Input {tensor.name!r} has open dimensions: {_text(tensor.shape)}.",
            subject=tensor.name,
            remedy=f"Fix them: --shape {tensor.name}={example}",
        )
    return known


def _prove(prepared: IrPrepared, seed: int, run: Run, changed: bool) -> tuple[Tensor, ...]:
    """Run both: the prepared one on raw input, the original on input preprocessed in numpy; the outputs' true shapes.

    Raises:
        ProofFailed: an output differs by more than float arithmetic explains.
        SpecError: the network cannot take the shape that it was brought to.
        UnsupportedModel: it has operations that OpenVINO does not know, or calls an output otherwise.
        CannotRun: it cannot be run at all.
    """
    samples = list(SampleSet.generated(prepared.boundary, PROOF_SAMPLES, seed))
    try:
        expected = list(run(prepared.source_file, [prepared.feeds(raw) for raw in samples]))
    except CannotRun as error:
        if _UNKNOWN in error.message:
            raise _unknown(prepared, error) from error
        if not changed:
            raise
        raise SpecError(
            f"the OpenVINO IR cannot take that input shape: {error.message}",
            remedy="omit --shape, or make the IR anew with that shape",
            log=error.log,
        ) from error
    found = list(run(prepared.file, samples))
    for wanted, given in zip(expected, found, strict=True):
        for difference in equality.compare(wanted, given):
            if not difference.passed:
                raise ProofFailed(
                    f"The prepared network does not compute what the source network computes: {difference}.",
                    subject=difference.name,
                )
    if missing := [tensor.name for tensor in prepared.outputs if tensor.name not in found[0]]:
        raise UnsupportedModel(
            f"OpenVINO calls output {missing[0]!r} otherwise: it has {', '.join(found[0])}", subject=missing[0]
        )
    return tuple(replace(tensor, shape=found[0][tensor.name].shape) for tensor in prepared.outputs)


def _unknown(prepared: IrPrepared, error: CannotRun) -> UnsupportedModel:
    """The error for a network that the reader gives up on; it does not say at which layer."""
    names = {node.name for node in prepared.original.graph.node}
    layers = [layer for layer in prepared.editor.graph.operations() if layer.get("name") in names]
    kinds = sorted({f"{layer.get('type')} ({layer.get('version')})" for layer in layers})
    return UnsupportedModel(
        f"OpenVINO's reader cannot make a network of it, and does not say why; one of its operations may be unknown "
        f"there: {', '.join(kinds)}",
        remedy="give the ONNX model itself, or make the IR with the Model Optimizer of the compiler's own version",
        log=error.log,
    )


def structure(graph: IrGraph) -> onnx.ModelProto:
    """A network's layers as the nodes of an ONNX graph, without weights and meaning, for errors that name a layer."""
    nodes = []
    for key, layer in graph.layers.items():
        if layer.get("type") in ("Const", "Parameter", "Result"):
            continue
        reads = [graph.name_of(source) for target, source in graph.feeds.items() if target[0] == key]
        gives = [graph.name_of((key, port.get("id", ""))) for port in layer.findall("output/port")]
        nodes.append(helper.make_node(layer.get("type", ""), reads, gives, layer.get("name"), domain=IR_DOMAIN))
    inputs, outputs = (
        [helper.make_tensor_value_info(item.name, TensorProto.FLOAT, None) for item in side]
        for side in (graph.inputs, graph.outputs)
    )
    return helper.make_model(helper.make_graph(nodes, "OpenVINO IR", inputs, outputs))


def _text(shape: Sequence[Any]) -> str:
    return ",".join("?" if size is None else str(size) for size in shape)
