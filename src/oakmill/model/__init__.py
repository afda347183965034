"""What comes in: source models, recognised by content, checked, and described without their weights."""

from oakmill.model.archives import unpack
from oakmill.model.nn_archive import open_nn_archive
from oakmill.model.onnx_model import load_onnx, read_onnx
from oakmill.model.prefill import Merged, merge_inputs, prefill
from oakmill.model.read import open_source
from oakmill.model.sniff import sniff
from oakmill.model.source import SourceFormat, SourceModel, Tensor
from oakmill.model.tensors import find_bad_weights, require_finite_weights, weight_bytes

__all__ = [
    "Merged",
    "SourceFormat",
    "SourceModel",
    "Tensor",
    "find_bad_weights",
    "load_onnx",
    "merge_inputs",
    "open_nn_archive",
    "open_source",
    "prefill",
    "read_onnx",
    "require_finite_weights",
    "sniff",
    "unpack",
    "weight_bytes",
]
