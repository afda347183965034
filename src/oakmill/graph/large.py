"""Writes a graph whose weights are more than one file can hold: protobuf ends at 2 GiB, weights beside it do not.

Weights that stay in the source's files (`model.weights`) are linked to, not copied, where the file system can.
"""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.graph.skeleton import LARGE
from oakmill.model import weights

LIMIT = (1 << 31) - (64 << 20)
"""Bytes of weights up to which a graph is one file; the rest of the 2 GiB is for its nodes."""
_ALIGNMENT = 4096


def is_large(model: ModelProto) -> bool:
    """Whether the weights in memory have to go beside the graph; looks at shapes alone."""
    return sum(_size(tensor) for tensor in model.graph.initializer if not _is_beside(tensor)) > LIMIT


def save(model: ModelProto, path: Path) -> Path:
    """Write a graph, and where it is large, its weights to PATH.data beside it; the model stays as it is.

    Raises:
        ValueError, EncodeError: what is left without the weights is over 2 GiB too.
        OSError: it cannot be written.
    """
    model = _with_links(model, path)
    if is_large(model):
        model = _without_weights(model, path.with_name(f"{path.name}.data"))
    path.write_bytes(model.SerializeToString())
    return path


def _with_links(model: ModelProto, path: Path) -> ModelProto:
    """The model, with the files that its references lead to beside the graph."""
    files = dict.fromkeys(file for _, file in weights.references(model))
    names = {file: f"{path.name}.{index}.data" for index, file in enumerate(files)}
    for file, name in names.items():
        link = path.with_name(name)
        link.unlink(missing_ok=True)
        try:
            os.link(file, link)
        except OSError:  # another file system, or one without links
            shutil.copyfile(file, link)
    return weights.located(model, names) if names else model


def _without_weights(model: ModelProto, data: Path) -> ModelProto:
    bare = ModelProto(ir_version=model.ir_version)
    for field in ("opset_import", "functions", "metadata_props"):
        getattr(bare, field).extend(getattr(model, field))
    for field in ("node", "input", "output", "value_info", "sparse_initializer", "quantization_annotation"):
        getattr(bare.graph, field).extend(getattr(model.graph, field))
    bare.graph.name = model.graph.name or "graph"
    with data.open("wb") as file:
        for tensor in model.graph.initializer:
            if _stays(tensor):
                bare.graph.initializer.append(tensor)
                continue
            file.write(bytes(-file.tell() % _ALIGNMENT))
            place = file.tell()
            file.write(tensor.raw_data if tensor.HasField("raw_data") else _plain(tensor))
            moved = bare.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
            moved.data_location = TensorProto.EXTERNAL
            for key, value in (("location", data.name), ("offset", place), ("length", file.tell() - place)):
                moved.external_data.add(key=key, value=str(value))
    return bare


def _is_beside(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL


def _stays(tensor: TensorProto) -> bool:
    return _is_beside(tensor) or math.prod(tensor.dims) < LARGE or tensor.data_type == TensorProto.STRING


def _plain(tensor: TensorProto) -> bytes:
    return np.ascontiguousarray(numpy_helper.to_array(tensor)).tobytes()


def _size(tensor: TensorProto) -> int:
    """Bytes of a tensor; 4-bit types count double, which only errs on the safe side."""
    if tensor.data_type == TensorProto.STRING:
        return 0
    count: int = math.prod(tensor.dims)
    return count * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
