"""The verify stage: what the vendor's own reader must find in the artefact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oakmill.conversion.prepare import Prepared
from oakmill.errors import VerificationFailed
from oakmill.model.source import Tensor


def check_boundary(found: Mapping[str, Any], prepared: Prepared, ports: Mapping[str, Mapping[str, str]]) -> None:
    """That depthai sees the inputs and outputs that were asked for: names, sizes and types.

    Raises:
        VerificationFailed: it sees others.
    """
    wanted = {item.name: item.shape for item in prepared.boundary}
    _check_tensors("input", found["inputs"], wanted, ports["inputs"])
    shapes = {tensor.name: tensor.shape for tensor in prepared.outputs}
    _check_tensors("output", found["outputs"], shapes, ports["outputs"])


def _check_tensors(
    kind: str,
    found: Sequence[Mapping[str, Any]],
    wanted: Mapping[str, tuple[Any, ...]],
    precisions: Mapping[str, str],
) -> None:
    by_name = {tensor["name"]: tensor for tensor in found}
    if set(by_name) != set(wanted):
        raise VerificationFailed(f"depthai sees the {kind}s {sorted(by_name)}, the model has {sorted(wanted)}")
    for name, shape in wanted.items():
        dims, dtype = by_name[name]["dims"], by_name[name]["dtype"]
        if all(isinstance(size, int) for size in shape) and np.prod(dims) != np.prod(shape):
            raise VerificationFailed(f"depthai sees {kind} {name!r} as {dims}, the model has it as {list(shape)}")
        if dtype not in _DEPTHAI_TYPES.get(precisions[name], {dtype}):
            raise VerificationFailed(f"depthai sees {kind} {name!r} as {dtype}, asked was {precisions[name]}")


_DEPTHAI_TYPES = {"U8": {"U8F"}, "FP16": {"FP16"}, "FP32": {"FP32"}, "I32": {"INT"}, "I8": {"I8"}}

_NUMPY_TYPES = {"U8F": "uint8", "FP16": "float16", "FP32": "float32", "INT": "int32", "I8": "int8"}


def tensor_of(read: Mapping[str, Any]) -> Tensor:
    """An input or output of a blob as depthai tells it, with its sizes slowest first and numpy's name of its type."""
    return Tensor(read["name"], tuple(reversed(read["dims"])), _NUMPY_TYPES.get(read["dtype"], read["dtype"]))
