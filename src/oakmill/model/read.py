"""Opens a source model of any accepted format."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto

from oakmill.model.checkpoints import read_checkpoint
from oakmill.model.nn_archive import open_nn_archive
from oakmill.model.onnx_model import read_onnx
from oakmill.model.openvino_ir import read_ir
from oakmill.model.sniff import only_onnx, sniff
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.model.tflite import read_tflite
from oakmill.model.torch_files import read_script
from oakmill.settings import Settings


def open_source(path: Path, work: Path, settings: Settings, parsed: ModelProto | None = None) -> SourceModel:
    """Find out what a file is, and describe the model in it.

    Args:
        path: the model file, of any name.
        work: a folder that does not exist yet; an NN Archive is unpacked into it.
        settings: its source_max_mb is the limit.
        parsed: what is in the file, where it is ONNX and was read before.

    Raises:
        NotAModel, BrokenModel, UnsafeSource: the file is none, damaged, or hostile.
        UnsupportedModel: the format is recognised but not converted yet; or as `read_onnx`, `read_ir`,
            `read_tflite`, `read_script`, `read_checkpoint` and `open_nn_archive`.
    """
    found = sniff(path)
    if found is SourceFormat.NN_ARCHIVE:
        return open_nn_archive(path, work, settings)
    if found is SourceFormat.OPENVINO_IR:
        return read_ir(path, settings)
    if found is SourceFormat.TFLITE:
        return read_tflite(path, settings)
    if found is SourceFormat.TORCHSCRIPT:
        return read_script(path, settings)
    if found is SourceFormat.CHECKPOINT:
        return read_checkpoint(path, settings)
    only_onnx(found, path)
    return read_onnx(path, settings, parsed)
