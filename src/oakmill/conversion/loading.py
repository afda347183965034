"""Reads a source as a platform wants it, up to the network that its `prepare` takes; all that is found is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from onnx import ModelProto

from oakmill.conversion.cache.stages import Reuse
from oakmill.conversion.events import Progress
from oakmill.conversion.platform import Platform
from oakmill.conversion.sources import archive_heads, camera_heads, class_names, embedded, unused_inputs
from oakmill.findings import Finding, Severity
from oakmill.model import merge_inputs, prefill
from oakmill.model.source import SourceModel
from oakmill.preflight import check, room
from oakmill.spec import ConversionSpec, InputSpec


def asked_inputs(
    platform: Platform, source: SourceModel, progress: Progress
) -> tuple[tuple[InputSpec, ...], tuple[Finding, ...]]:
    """What is asked of the inputs, with what the source says of its own preprocessing; and what is told of that.

    Raises:
        UnsupportedModel: an input is larger than any camera has room for.
    """
    asked, told = embedded.respected(_merged(platform.spec, source, progress), source)
    asked, known = camera_heads.preprocessed(asked, source, platform.spec.head or "")
    inputs = tuple(platform.inputs(asked, source, progress))
    room.require_inputs(source.inputs, inputs)
    return inputs, (*told, *known)


def _merged(spec: ConversionSpec, source: SourceModel, progress: Progress) -> tuple[InputSpec, ...]:
    """The user's values over those of the NN Archive; what came from the archive is told."""
    merged = merge_inputs(spec.inputs, prefill(source.archive, source.inputs))
    from_archive = sorted(name for name, origin in merged.origins.items() if origin == "archive")
    if from_archive:
        progress.note(f"from the NN Archive: {', '.join(from_archive)}")
    return merged.inputs


@dataclass(frozen=True)
class Loaded:
    """The network that is converted, its source and inputs as far as they concern it, and what is told of them."""

    network: Any
    source: SourceModel
    inputs: tuple[InputSpec, ...]
    findings: tuple[Finding, ...]
    original: camera_heads.Original | None = None


def loaded(
    platform: Platform,
    source: SourceModel,
    inputs: Sequence[InputSpec],
    known: Sequence[Finding],
    reuse: Reuse,
    progress: Progress,
) -> Loaded:
    """The source's network, its nodes looked up in the toolchain's measured table; what is uncertain is told.

    Raises:
        UnsupportedModel: an operator was measured to fail, in this very variant; or as `Platform.load`.
    """
    network = platform.load(source)
    if isinstance(network, ModelProto):
        check.require_room(network, inputs)
    network, unused = unused_inputs.without(network, inputs)
    spec, recognised = platform.spec, camera_heads.Applied(network, source)
    if not (spec.keep_outputs or spec.outputs):
        wanted = camera_heads.Wanted(spec.platform, spec.head or "", spec.seed, len(spec.class_names))
        recognised = camera_heads.applied(network, source, inputs, wanted, reuse.proved)
    network, source = recognised.network, recognised.source
    for name in unused:
        progress.note(f"input {name!r} is dropped: nothing in the network computes with it")
    used = tuple(item for item in inputs if item.name not in unused)
    source = replace(source, inputs=tuple(tensor for tensor in source.inputs if tensor.name not in unused))
    mode = check.mode_of(platform.spec, [item.name for item in platform.toolchains])
    if isinstance(network, ModelProto):
        for finding in check.require(network, platform.name, mode, used):
            progress.note(f"node {finding.subject!r}: {finding.message}")
    ends = network.graph.output if isinstance(network, ModelProto) else network.outputs
    source, told = archive_heads.fitting(source, [item.name for item in ends])
    source, of_heads = class_names.named(source, spec.class_names, (*recognised.findings, *told))
    findings = (*known, *of_heads)
    _tell(findings, progress)
    return Loaded(network, source, used, findings, recognised.original)


def _tell(findings: Sequence[Finding], progress: Progress) -> None:
    """Say what was found of the source; what is worse than a note is said again as a reason of the verdict."""
    for item in findings:
        if item.severity is Severity.NOTE:
            progress.note(item.message)
