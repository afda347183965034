"""Sparse constants come out whole, whatever their order, blocks and levels; what does not fit is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oakmill.toolchains.tflite.runner.sparse import dense, write_out

WHOLE, CSR = 0, 1


def stored(array: NDArray[Any], order: list[int], blocks: list[int], sizes: list[int], formats: list[int]) -> Any:
    """The array as the schema has it, by walking over it level by level: the values that are stored, and where."""
    rank = array.ndim
    parts = [size // (sizes[blocks.index(place)] if place in blocks else 1) for place, size in enumerate(array.shape)]
    lengths = [*parts, *sizes]
    segments: list[list[int]] = [[0] for _ in order]
    indices: list[list[int]] = [[] for _ in order]
    values: list[Any] = []

    def at(chosen: dict[int, int]) -> NDArray[Any]:
        """What of the array is at these places of the levels."""
        part = array
        for place in range(rank):
            step = sizes[blocks.index(place)] if place in blocks else 1
            numbers = np.arange(array.shape[place])
            wanted = np.ones(len(numbers), bool)
            if place in chosen:
                wanted &= numbers // step == chosen[place]
            if place in blocks and rank + blocks.index(place) in chosen:
                wanted &= numbers % step == chosen[rank + blocks.index(place)]
            part = np.compress(wanted, part, place)
        return part

    def walk(level: int, chosen: dict[int, int]) -> None:
        if level == len(order):
            values.append(at(chosen).item())
            return
        for number in range(lengths[order[level]]):
            inner = {**chosen, order[level]: number}
            if formats[level] == WHOLE or at(inner).any():
                indices[level].append(number)
                walk(level + 1, inner)
        segments[level].append(len(indices[level]))

    walk(0, {})
    levels = [
        SimpleNamespace(
            format=form,
            denseSize=lengths[place],
            arraySegments=SimpleNamespace(values=segments[level]) if form else None,
            arrayIndices=SimpleNamespace(values=indices[level]) if form else None,
        )
        for level, (place, form) in enumerate(zip(order, formats, strict=True))
    ]
    sparsity = SimpleNamespace(traversalOrder=order, blockMap=blocks or None, dimMetadata=levels)
    return np.array(values, array.dtype), sparsity


def pruned(*shape: int) -> NDArray[Any]:
    random = np.random.default_rng(3)
    return (random.integers(1, 100, shape) * (random.random(shape) > 0.85)).astype(np.int8)


@pytest.mark.parametrize(
    ("shape", "order", "blocks", "sizes", "formats"),
    [
        ((5, 7), [0, 1], [], [], [WHOLE, CSR]),
        ((5, 7), [1, 0], [], [], [WHOLE, CSR]),
        ((5, 7), [0, 1], [], [], [CSR, CSR]),
        ((4, 8), [0, 1, 2], [1], [4], [WHOLE, CSR, WHOLE]),  # rows of blocks of four
        ((8, 12), [0, 1, 2, 3], [0, 1], [2, 2], [WHOLE, CSR, WHOLE, WHOLE]),
        ((8, 12), [1, 0, 3, 2], [0, 1], [2, 4], [CSR, CSR, WHOLE, WHOLE]),
        ((3, 2, 2, 6), [0, 1, 2, 3], [], [], [WHOLE, WHOLE, WHOLE, CSR]),
        ((3, 2, 2, 6), [3, 0, 2, 1], [], [], [CSR, WHOLE, CSR, WHOLE]),
    ],
)
def test_what_is_stored_comes_out_whole(
    shape: tuple[int, ...], order: list[int], blocks: list[int], sizes: list[int], formats: list[int]
) -> None:
    array = pruned(*shape)
    values, sparsity = stored(array, order, blocks, sizes, formats)
    assert len(values) < array.size
    np.testing.assert_array_equal(dense(values, list(shape), sparsity), array)


def test_what_would_densify_goes_and_its_result_is_the_constant() -> None:
    array = pruned(4, 6)
    values, sparsity = stored(array, [0, 1], [], [], [WHOLE, CSR])
    tensors = [
        SimpleNamespace(shape=[4, 6], type=9, buffer=1, sparsity=sparsity),
        SimpleNamespace(shape=[4, 6], type=9, buffer=0, sparsity=None),
    ]
    operators = [
        SimpleNamespace(opcodeIndex=0, inputs=[0], outputs=[1]),
        SimpleNamespace(opcodeIndex=1, inputs=[1], outputs=[1]),
    ]
    codes = [SimpleNamespace(builtinCode=124, deprecatedBuiltinCode=124)]
    codes.append(SimpleNamespace(builtinCode=9, deprecatedBuiltinCode=9))
    buffers = [SimpleNamespace(data=None), SimpleNamespace(data=values.view(np.uint8))]
    graph = SimpleNamespace(tensors=tensors, operators=operators)
    write_out(SimpleNamespace(operatorCodes=codes, subgraphs=[graph], buffers=buffers))
    assert [item.opcodeIndex for item in graph.operators] == [1]
    assert tensors[1].buffer == tensors[0].buffer
    np.testing.assert_array_equal(np.asarray(buffers[tensors[1].buffer].data).view(np.int8).reshape(4, 6), array)


def test_two_constants_may_be_stored_in_one_buffer() -> None:
    """The second was read from what the first had become: its values were those of the wrong places."""
    array = pruned(4, 6)
    values, sparsity = stored(array, [0, 1], [], [], [WHOLE, CSR])
    tensors = [SimpleNamespace(shape=[4, 6], type=9, buffer=0, sparsity=sparsity) for _ in range(2)]
    buffers = [SimpleNamespace(data=values.view(np.uint8))]
    graph = SimpleNamespace(tensors=tensors, operators=[])
    write_out(SimpleNamespace(operatorCodes=[], subgraphs=[graph], buffers=buffers))
    for tensor in tensors:
        found = np.asarray(buffers[tensor.buffer].data).view(np.int8).reshape(4, 6)
        np.testing.assert_array_equal(found, array)


def test_levels_that_do_not_fit_are_refused() -> None:
    array = pruned(4, 6)
    values, sparsity = stored(array, [0, 1], [], [], [WHOLE, CSR])
    with pytest.raises(ValueError, match="do not fit 3 dimensions"):
        dense(values, [4, 6, 1], sparsity)
    sparsity.dimMetadata[1].arraySegments.values[-1] += 9
    with pytest.raises((ValueError, IndexError)):
        dense(values, [4, 6], sparsity)
    sparsity.dimMetadata[1].format = 7
    with pytest.raises(ValueError, match="unknown format 7"):
        dense(values, [4, 6], sparsity)
