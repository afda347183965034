"""Mends what TFLite files have that no tool takes and that means nothing: two numbers of theirs, in place.

Schema: tensorflow/compiler/mlir/lite/schema/schema.fbs; the places of its fields stand in the code as numbers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from oakmill.model.flatbuffer import Buffer, Table

POSTPROCESS = "TFLite_Detection_PostProcess"
"""The custom operation at the end of TensorFlow's SSD detectors: it decodes boxes by its anchors and selects them."""


@dataclass(frozen=True)
class Mended:
    """A file with what was changed in it, a sentence each; the same bytes where nothing was."""

    data: bytes
    notes: tuple[str, ...] = ()


def mended(data: bytes) -> Mended:
    """The file as LiteRT and tf2onnx can take it.

    A bias that is quantized along a dimension which it does not have, as old converters copied it from the filter, gets
    its only one. A network that ends with the post-processing of detectors ends before it.

    Raises:
        DamagedBufferError: an offset leads outside the file.
    """
    found = bytearray(data)
    notes: list[str] = []
    root = Buffer(data).root()
    graphs = list(root.tables(2))
    names = [name for graph in graphs for name in _give_only_dimension(graph, found)]
    if names:
        notes.append(
            f"{len(names)} tensors of one dimension, {names[0]!r} the first, are said to be quantized along another, "
            "as old converters write it: taken is the one that they have"
        )
    if graphs:
        notes += _end_before_postprocess(root, graphs[0], found)
    return Mended(bytes(found) if notes else data, tuple(notes))


def _give_only_dimension(graph: Table, found: bytearray) -> list[str]:
    names = []
    for tensor in graph.tables(0):
        quantization = tensor.table(4)
        place = quantization.place(6) if quantization else None
        if quantization and place is not None and len(tensor.numbers(0, "i")) == 1 and quantization.number(6, "i"):
            struct.pack_into("<i", found, place, 0)
            names.append(tensor.text(3))
    return names


def _end_before_postprocess(root: Table, graph: Table, found: bytearray) -> list[str]:
    """Make the tensors that the post-processing selects from the outputs, and drop it, where it is the last to run."""
    operators, tensors = list(graph.tables(3)), list(graph.tables(0))
    codes = [code.text(1) for code in root.tables(1)]
    code = operators[-1].number(0, "I") if len(operators) > 1 else len(codes)
    if code >= len(codes) or codes[code] != POSTPROCESS:
        return []
    buffers = [buffer.size(0) for buffer in root.tables(4)]
    reads = [index for index in operators[-1].numbers(1, "i") if 0 <= index < len(tensors)]
    ends = [index for index in reads if not _size(tensors[index], buffers)]
    outputs = graph.numbers(2, "i")
    if not ends or len(ends) > len(outputs) or not set(outputs) <= set(operators[-1].numbers(2, "i")):
        return []
    start, _ = graph.vector(2, 4)
    struct.pack_into(f"<{1 + len(ends)}i", found, start - 4, len(ends), *ends)
    start, count = graph.vector(3, 4)
    struct.pack_into("<I", found, start - 4, count - 1)
    named = " and ".join(repr(tensors[index].text(3)) for index in ends)
    return [
        f"the network ends at {named}, before {POSTPROCESS}: decoding boxes by its anchors and selecting them is left "
        "to the host"
    ]


def _size(tensor: Table, buffers: list[int]) -> int:
    """Bytes of a constant; 0 for what is computed."""
    index = tensor.number(2, "I")
    return buffers[index] if index < len(buffers) else 0
