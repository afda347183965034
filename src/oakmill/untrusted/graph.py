"""Counts what a model's graph is made of: its operations, how many of each, what they hold and compute."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto, shape_inference

from oakmill.conversion.failures.stripping import strip
from oakmill.graph.costs import multiply_adds
from oakmill.model import open_source
from oakmill.model.openvino_ir import load_ir
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.model.tensors import graphs, nodes
from oakmill.model.tflite import describe_tflite
from oakmill.settings import Settings
from oakmill.untrusted.folder import Place
from oakmill.untrusted.questions import VIEW, DescribeGraph, GraphFacts, Operation

SHOWN_BYTES = 64 << 20
"""A browser holds a graph with weights of so much; of a larger one, the weights are left out."""

Counts = tuple[Counter[str], Counter[str], Counter[str]]
"""Of each operation: nodes, parameters, multiplications."""


def describe(asked: DescribeGraph, place: Place) -> GraphFacts:
    """What is known of the graph; the file to show is written where it is not the model's own.

    Raises:
        OakmillError: the model cannot be read.
    """
    source = open_source(place.files / asked.model, place.scratch / "source", place.settings)
    count, parameters, products = _COUNTERS[source.format](source, place.settings)
    return GraphFacts(
        opset=source.opset,
        ir_version=source.ir_version,
        producer=source.producer,
        inputs=source.inputs,
        outputs=source.outputs,
        operations=tuple(
            Operation(op=op, count=number, parameters=parameters[op], products=products[op])
            for op, number in count.most_common()
        ),
        view=source.graph.name,
        stripped=_show(source, place.made / VIEW),
    )


def _show(source: SourceModel, made: Path) -> bool:
    """Write the file to show, where it is not the model's own; True where it has lost its weights."""
    if source.format is SourceFormat.ONNX and source.graph.stat().st_size > SHOWN_BYTES:
        onnx.save(strip(onnx.load(source.graph, load_external_data=False)), made)
        return True
    if source.archive is not None:
        shutil.copyfile(source.graph, made)
    return False


def _of_onnx(source: SourceModel, settings: Settings) -> Counts:
    model = onnx.load(source.graph, load_external_data=False)
    count: Counter[str] = Counter()
    parameters: Counter[str] = Counter()
    sizes = {item.name: math.prod(item.dims) for graph in graphs(model) for item in graph.initializer}
    for node in nodes(model):
        op = _name(node)
        count[op] += 1
        parameters[op] += sum(sizes.pop(name, 0) for name in node.input)
        parameters[op] += sum(math.prod(item.t.dims) for item in node.attribute if node.op_type == "Constant")
    return count, parameters, _products(model)


def _name(node: NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type


def _products(model: ModelProto) -> Counter[str]:
    """Multiplications of what `graph.costs` counts, where all shapes are known."""
    found: Counter[str] = Counter()
    shapes = dict(_shapes(model))
    for node in nodes(model):
        if node.output:
            outer = shapes.get(node.output[0])
            found[_name(node)] += multiply_adds(node, [shapes.get(name) for name in node.input], outer)
    return found


def _shapes(model: ModelProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    try:
        graph = shape_inference.infer_shapes(model).graph
    except (shape_inference.InferenceError, ValueError):  # too large, or shapes that contradict each other
        graph = model.graph
    yield from ((item.name, tuple(item.dims)) for item in model.graph.initializer)
    for value in (*graph.input, *graph.value_info, *graph.output):
        sizes = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        if all(size > 0 for size in sizes[1:]):
            yield value.name, (sizes[0] or 1, *sizes[1:]) if sizes else ()


def _of_ir(source: SourceModel, settings: Settings) -> Counts:
    graph = load_ir(source)
    count = Counter(layer.get("type", "?") for layer in graph.layers.values())
    parameters = Counter({"Const": sum(math.prod(item.shape) for item in graph.constants())})
    return count, parameters, Counter()


def _of_tflite(source: SourceModel, settings: Settings) -> Counts:
    return Counter(dict(describe_tflite(source.graph, settings).operations)), Counter(), Counter()


def _of_script(source: SourceModel, settings: Settings) -> Counts:
    """A TorchScript module's code is not looked at here."""
    return Counter(), Counter(), Counter()


_COUNTERS = {
    SourceFormat.ONNX: _of_onnx,
    SourceFormat.OPENVINO_IR: _of_ir,
    SourceFormat.TFLITE: _of_tflite,
    SourceFormat.TORCHSCRIPT: _of_script,
}
