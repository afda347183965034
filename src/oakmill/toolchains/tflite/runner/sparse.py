"""Writes sparse constants of TFLite out: pruned weights are stored as the values that are left, and where they lie.

tf2onnx reads them as if they were all. Format: SparsityParameters in tensorflow/compiler/mlir/lite/schema/schema.fbs;
the order of dimensions is that of "The Sparse Tensor Algebra Compiler" (Kjolstad and others, 2017).
"""

from __future__ import annotations

from typing import Any

import numpy as np

DENSIFY = 124
"""The operation that does so while a model runs."""
_STORED, _CSR = 0, 1
_TYPES = {0: "f4", 1: "f2", 2: "i4", 3: "u1", 4: "i8", 7: "i2", 9: "i1"}


def write_out(tree: Any) -> None:
    """Make all sparse constants of a model dense, and drop the operations that would; in place.

    Raises:
        ValueError, LookupError, TypeError: a constant is not stored as the schema says.
    """
    codes = {
        place
        for place, code in enumerate(tree.operatorCodes)
        if max(code.builtinCode, code.deprecatedBuiltinCode) == DENSIFY
    }
    for graph in tree.subgraphs:
        for tensor in graph.tensors:
            if tensor.sparsity is not None:
                stored = tree.buffers[tensor.buffer]
                values = np.asarray(stored.data, np.uint8).view(_TYPES[tensor.type])
                whole = type(stored)()  # another tensor may be stored in the same buffer
                whole.data = dense(values, list(tensor.shape), tensor.sparsity).view(np.uint8).ravel()
                tensor.buffer, tensor.sparsity = len(tree.buffers), None
                tree.buffers.append(whole)
        kept = []
        for operator in graph.operators:
            if operator.opcodeIndex not in codes:
                kept.append(operator)
                continue
            graph.tensors[operator.outputs[0]].buffer = graph.tensors[operator.inputs[0]].buffer
        graph.operators = kept


def dense(values: Any, shape: list[int], sparsity: Any) -> Any:
    """The whole array: level by level, where the values lie of all that are stored.

    Args:
        values: those that are stored, in the order of the levels.
        shape: of the whole.
        sparsity: `traversalOrder`, `blockMap` and `dimMetadata` as the schema's classes have them.
    """
    rank = len(shape)
    order = [int(place) for place in sparsity.traversalOrder]
    blocks = [int(place) for place in (() if sparsity.blockMap is None else sparsity.blockMap)]
    if sorted(order) != list(range(rank + len(blocks))) or len(sparsity.dimMetadata) != len(order):
        raise ValueError(f"{len(order)} levels do not fit {rank} dimensions and {len(blocks)} blocks")
    sizes = {place: int(level.denseSize) for place, level in zip(order, sparsity.dimMetadata, strict=True)}
    found = np.zeros(1, np.int64)
    places = np.zeros((rank, 1), np.int64)
    for dimension, level in zip(order, sparsity.dimMetadata, strict=True):
        repeats, found, here = _level(found, level, len(values))
        places = places[:, repeats]
        target = dimension if dimension < rank else blocks[dimension - rank]
        inner = [rank + block for block, mapped in enumerate(blocks) if mapped == target]
        # A dimension in blocks is counted in blocks, and within them by a level of its own.
        places[target] += here * (sizes[inner[0]] if dimension < rank and inner else 1)
    result = np.zeros(shape, values.dtype)
    result[tuple(places)] = values[found]
    return result


def _level(found: Any, level: Any, most: int) -> tuple[Any, Any, Any]:
    """For each place of the next level: which of the last one it belongs to, its own number, and its index."""
    if level.format == _STORED:
        size = int(level.denseSize)
        if size * len(found) > 1 << 31:
            raise ValueError("it has more values than a tensor can")
        repeats = np.repeat(np.arange(len(found)), size)
        here = np.tile(np.arange(size), len(found))
        return repeats, found[repeats] * size + here, here
    if level.format != _CSR:
        raise ValueError(f"a level is stored in the unknown format {level.format}")
    segments, indices = (np.asarray(item.values, np.int64) for item in (level.arraySegments, level.arrayIndices))
    counts = segments[found + 1] - segments[found]
    if (counts < 0).any() or counts.sum() > most:
        raise ValueError("a level has more values than are stored")
    repeats = np.repeat(np.arange(len(found)), counts)
    within = np.arange(len(repeats)) - np.repeat(np.cumsum(counts) - counts, counts)
    number = segments[found][repeats] + within
    return repeats, number, indices[number]
