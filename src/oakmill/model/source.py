"""What came in: a source model, described without having loaded its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class SourceFormat(StrEnum):
    """The formats that a source model may have."""

    ONNX = "onnx"
    OPENVINO_IR = "openvino_ir"
    TFLITE = "tflite"
    TORCHSCRIPT = "torchscript"
    CHECKPOINT = "checkpoint"
    NN_ARCHIVE = "nn_archive"


@dataclass(frozen=True)
class Tensor:
    """One input or output of a model.

    `shape` holds an int for a fixed dimension, the name of a symbolic one, or None for an unnamed open one.
    `dtype` is numpy's name: float32, uint8, int64.
    """

    name: str
    shape: tuple[int | str | None, ...]
    dtype: str


@dataclass(frozen=True)
class Embedded:
    """Preprocessing that an OpenVINO IR has inside already, as the Model Optimizer noted it in the .xml.

    `mean` and `scale` are the values in its words, which may name inputs; empty where it embedded none.
    """

    reverse_channels: bool = False
    mean: str = ""
    scale: str = ""


@dataclass(frozen=True)
class SourceModel:
    """A source model on disk, as `model.read` found it.

    `files` are all files that make it up, the graph first, then its external data; `sha256` is over their
    contents in that order. `ir_version` and `embedded` are an OpenVINO IR's. `archive` is the config.json of the NN
    Archive that held it, if one did. `metadata` is what an ONNX file's writer noted in it.
    """

    format: SourceFormat
    graph: Path
    files: tuple[Path, ...]
    name: str
    sha256: str
    size: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: int | None = None
    ir_version: int | None = None
    embedded: Embedded = Embedded()
    producer: str = ""
    archive: dict[str, Any] | None = field(default=None, compare=False)
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)
