"""Sources that are not ONNX and are written as ONNX before their conversion: by whose tools, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from oakmill.conversion.events import Progress
from oakmill.conversion.sources import checkpoint, tflite, torchscript
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.settings import Settings
from oakmill.spec import InputSpec
from oakmill.toolchains.base import Toolchain
from oakmill.toolchains.torchscript import toolchain as torch_tools
from oakmill.toolchains.ultralytics import toolchain as ultralytics_tools

Kept = Callable[[SourceModel, object, Mapping[str, str], Path, Callable[[], SourceModel]], SourceModel]
"""Gives what the cache has, else makes it: `cache.stages.Reuse.as_onnx`."""


def toolchains(source_format: str, settings: Settings) -> list[Toolchain]:
    """What a conversion of such a source takes besides its platform's toolchains."""
    if source_format == SourceFormat.TORCHSCRIPT:
        return [torch_tools.TorchScriptToolchain(settings)]
    if source_format == SourceFormat.CHECKPOINT:
        return [ultralytics_tools.UltralyticsToolchain(settings)]
    return tflite.toolchains(source_format, settings)


def commands(source_format: str, name: str) -> list[list[str]]:
    """The command lines that say the same as is done to such a source of that name before its conversion."""
    if source_format == SourceFormat.TORCHSCRIPT:
        return [torch_tools.command(name)]
    if source_format == SourceFormat.CHECKPOINT:
        return [ultralytics_tools.command(name)]
    return tflite.commands(source_format, name)


def as_onnx(
    source: SourceModel, inputs: Sequence[InputSpec], job: Path, seed: int, settings: Settings, progress: Progress
) -> SourceModel:
    """The same source with a graph in ONNX, if its format is one of these; all others are given back as they are.

    Arguments and errors are those of `tflite.as_onnx`, `torchscript.as_onnx` and `checkpoint.as_onnx`.
    """
    if source.format is SourceFormat.TORCHSCRIPT:
        return torchscript.as_onnx(source, inputs, job, seed, settings, progress)
    if source.format is SourceFormat.CHECKPOINT:
        return checkpoint.as_onnx(source, inputs, job, seed, settings, progress)
    return tflite.as_onnx(source, inputs, job, seed, settings, progress)


def once(
    source: SourceModel,
    inputs: Sequence[InputSpec],
    job: Path,
    seed: int,
    settings: Settings,
    progress: Progress,
    kept: Kept,
) -> SourceModel:
    """As `as_onnx`; what the same tools made of the same source for another conversion is taken from the cache."""
    tools = {status.name: status.digest for status in (tool.status() for tool in toolchains(source.format, settings))}
    asked = [[item.model_dump(mode="json") for item in inputs], seed]
    return kept(source, asked, tools, job, lambda: as_onnx(source, inputs, job, seed, settings, progress))
