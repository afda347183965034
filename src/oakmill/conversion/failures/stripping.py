"""Takes the weights out of an ONNX model, and leaves what decides whether it converts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from onnx import AttributeProto, ModelProto, TensorProto

from oakmill.model.tensors import graphs, nodes, tensors

SMALL = 64
"""Elements; an integer tensor of no more says a shape, axes or an index, and is kept."""

_SHAPES: Mapping[int, int] = {TensorProto.INT64: SMALL, TensorProto.INT32: 8, TensorProto.BOOL: 8}
"""Types of such tensors, and how many elements each may have; a bias in 32 bits has more than a shape."""

_VALUES = (
    "raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data", "string_data", "external_data",
)  # fmt: skip
_LISTS = ("floats", "ints", "strings")
STRIPPED = "stripped"


def strip(model: ModelProto) -> ModelProto:
    """A copy without weights: each tensor keeps its name, shape and type, and none that could be a weight its values.

    Texts for people go too: exporters write paths and source code there.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    for tensor in tensors(copy):
        if not _is_kept(tensor):
            _empty(tensor)
    for attribute in _attributes(copy):
        _shorten(attribute)
    for item in _documented(copy):
        item.ClearField("doc_string")
        if "metadata_props" in item.DESCRIPTOR.fields_by_name:
            item.ClearField("metadata_props")
    return copy


def _is_kept(tensor: TensorProto) -> bool:
    inside = tensor.data_location != TensorProto.EXTERNAL
    return inside and math.prod(tensor.dims) <= _SHAPES.get(tensor.data_type, 0)


def _empty(tensor: TensorProto) -> None:
    for name in _VALUES:
        tensor.ClearField(name)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=STRIPPED)


def _attributes(model: ModelProto) -> Iterator[AttributeProto]:
    for node in nodes(model):
        yield from node.attribute


def _shorten(attribute: AttributeProto) -> None:
    """Trees and tables of words keep their weights in lists of an attribute."""
    for name in _LISTS:
        values = getattr(attribute, name)
        if len(values) > SMALL:
            del values[:]
    if attribute.type == AttributeProto.STRING and len(attribute.s) > 1024:
        attribute.s = STRIPPED.encode()


def _documented(model: ModelProto) -> Iterator[Any]:
    """All that may hold text for people."""
    yield model
    yield from model.functions
    for graph in graphs(model):
        yield graph
        for values in (graph.input, graph.output, graph.value_info, graph.initializer):
            yield from values
    yield from nodes(model)
    yield from _attributes(model)
    yield from tensors(model)
