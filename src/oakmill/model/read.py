"""Opens a source model of any accepted format."""

from __future__ import annotations

from pathlib import Path

from oakmill.model.nn_archive import open_nn_archive
from oakmill.model.onnx_model import read_onnx
from oakmill.model.sniff import only_onnx, sniff
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.settings import Settings


def open_source(path: Path, work: Path, settings: Settings) -> SourceModel:
    """Find out what a file is, and describe the model in it.

    Args:
        path: the model file, of any name.
        work: a folder that does not exist yet; an NN Archive is unpacked into it.
        settings: its source_max_mb is the limit.

    Raises:
        NotAModel, BrokenModel, UnsafeSource: the file is none, damaged, or hostile.
        UnsupportedModel: the format is recognised but not converted yet; or as `read_onnx` and
            `open_nn_archive`.
    """
    found = sniff(path)
    if found is SourceFormat.NN_ARCHIVE:
        return open_nn_archive(path, work, settings)
    only_onnx(found, path)
    return read_onnx(path, settings)
