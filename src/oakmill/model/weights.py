"""Weights that stay in their files: the graph in memory refers to them, and they are mapped where they are looked at.

A reference is ONNX's own external data with an absolute location, which no source may have; `located` makes it
relative again, for onnxruntime and the tools refuse absolute ones.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

STAY = 1 << 30
"""Bytes of weights beside a graph from which on they are not read into memory."""
_SMALL = 1 << 12
"""Bytes of a tensor that may be a shape or an axis: the graph's own code reads those."""
_BLOCK = 1 << 24
_PACKED = {TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1, TensorProto.INT2, TensorProto.UINT2}


def refer(model: ModelProto, folder: Path) -> None:
    """Let the large initializers that lie in files stay there, their locations absolute; in place.

    What is small, inside nodes, or packed below a byte remains as it was, to be read.
    """
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL and tensor.data_type not in _PACKED and _bytes(tensor) > _SMALL:
            entry = next(item for item in tensor.external_data if item.key == "location")
            entry.value = str((folder / entry.value).absolute())


def references(model: ModelProto) -> Iterator[tuple[TensorProto, Path]]:
    """The tensors whose values stay in files, and each one's file."""
    for tensor in model.graph.initializer:
        if is_reference(tensor):
            yield tensor, Path(_entries(tensor)["location"])


def is_reference(tensor: TensorProto) -> bool:
    """Whether a tensor's values stay in a file."""
    return tensor.data_location == TensorProto.EXTERNAL and _entries(tensor).get("location", "").startswith("/")


def located(model: ModelProto, names: Mapping[Path, str]) -> ModelProto:
    """A copy whose references lead to files of these names, relative to wherever the graph will be."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for tensor, file in references(copy):
        next(item for item in tensor.external_data if item.key == "location").value = names[file]
    return copy


def folder_of(files: Collection[Path]) -> Path:
    """The folder that all of these lie in or below."""
    return Path(os.path.commonpath([file.parent for file in files]))


def values(tensor: TensorProto) -> NDArray[Any]:
    """A tensor's values; those that stay in a file are mapped, and only what is looked at comes into memory."""
    if not is_reference(tensor):
        return numpy_helper.to_array(tensor)
    entries = _entries(tensor)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    shape, offset = tuple(tensor.dims), int(entries.get("offset") or 0)
    return np.memmap(entries["location"], dtype, "r", offset, shape) if math.prod(shape) else np.zeros(shape, dtype)


def blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array in pieces, so that what is made of each takes little memory."""
    flat = array.reshape(-1)
    return (flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK))


def _entries(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _bytes(tensor: TensorProto) -> int:
    count: int = math.prod(tensor.dims)
    return count * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
