"""Reads OpenVINO IR, a network's .xml with its weights in a .bin of the same name, without loading the weights.

Format: https://docs.openvino.ai/2022.3/openvino_docs_MO_DG_IR_and_opsets.html
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.errors import BrokenModel, SourceError, UnsafeSource
from oakmill.files import file_sha256
from oakmill.model.ir_graph import Constant, IrGraph
from oakmill.model.ir_xml import parse
from oakmill.model.source import Embedded, SourceFormat, SourceModel
from oakmill.settings import Settings

_NOTES = ("meta_data/cli_parameters", "rt_info/conversion_parameters")
"""Where the Model Optimizer notes its options: until OpenVINO 2022.2, and since."""

FLOATS = {"f16": np.float16, "f32": np.float32, "f64": np.float64}


def read_ir(path: Path, settings: Settings) -> SourceModel:
    """Describe the OpenVINO IR whose .xml is at `path`; its weights are hashed as a stream.

    Raises:
        BrokenModel: the XML is damaged or contradicts itself, the .bin is missing or too short.
        UnsafeSource: the XML is hostile, or the model is larger than settings.source_max_mb.
        UnsupportedModel: it is of another version than 10 and 11.
        SourceError: a file cannot be read.
    """
    graph = IrGraph(parse(path))
    weights = weights_of(path)
    try:
        sizes = path.stat().st_size, weights.stat().st_size
        if sum(sizes) > settings.source_max_mb << 20:
            raise UnsafeSource(
                f"{path.name} has {sum(sizes) >> 20} MB with its weights; allowed are {settings.source_max_mb}",
                subject=str(path),
                remedy="Raise the setting source_max_mb (OAKMILL_SOURCE_MAX_MB).",
            )
        _check_extents(graph.constants(), weights, sizes[1])
        digest = file_sha256(path, weights)
    except OSError as error:
        raise SourceError(f"{path.name} or its weights cannot be read: {error.strerror}", subject=str(path)) from error
    return SourceModel(
        format=SourceFormat.OPENVINO_IR,
        graph=path,
        files=(path, weights),
        name=path.stem,
        sha256=digest,
        size=sum(sizes),
        inputs=graph.inputs,
        outputs=graph.outputs,
        ir_version=graph.version,
        embedded=_embedded(graph),
        producer=_producer(graph),
    )


def load_ir(source: SourceModel) -> IrGraph:
    """The network of an IR that `read_ir` described, for editing; its weights stay in the file.

    Raises:
        BrokenModel, UnsafeSource, UnsupportedModel, SourceError: as `read_ir`, should the file have changed since.
    """
    graph = IrGraph(parse(source.graph))
    weights = source.files[1]
    _check_extents(graph.constants(), weights, weights.stat().st_size)
    return graph


def require_finite_ir(graph: IrGraph, weights: Path) -> None:
    """Refuse a network whose weights were spoilt: with NaN anywhere.

    Raises:
        BrokenModel: a constant holds NaN.
    """
    if not weights.stat().st_size:
        return
    data = np.memmap(weights, np.uint8, "r")
    for constant in graph.constants():
        if constant.kind in FLOATS and np.isnan(values_of(constant, data)).any():
            raise BrokenModel(
                f"weight {constant.name!r} holds NaN, so the model's results mean nothing",
                subject=constant.name,
                remedy="Export the model again from a checkpoint whose weights are finite.",
            )


def values_of(constant: Constant, data: NDArray[Any]) -> NDArray[Any]:
    """A float constant's values, flat, as a view of the .bin's bytes."""
    view: NDArray[Any] = data[constant.offset : constant.offset + constant.size].view(FLOATS[constant.kind])
    return view


def stored_bytes(graph: IrGraph) -> int:
    """Bytes that the constants take once floats have 16 bits, each counted once."""
    places = {(item.offset, item.size): item.kind for item in graph.constants()}
    halves = {"f64": 4, "f32": 2}
    return sum(size // halves.get(kind, 1) for (_, size), kind in places.items())


def weights_of(path: Path) -> Path:
    """The .bin that belongs to an .xml.

    Raises:
        BrokenModel: it is not beside it.
    """
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise BrokenModel(
            f"the weights of {path.name} are missing: there is no {weights.name} beside it",
            subject=str(path),
            remedy=f"Put {weights.name} into the same folder; an OpenVINO IR is both files.",
        )
    return weights


def _check_extents(constants: Iterable[Constant], weights: Path, size: int) -> None:
    for constant in constants:
        if constant.offset + constant.size > size:
            raise BrokenModel(
                f"constant {constant.name!r} lies at bytes {constant.offset} to {constant.offset + constant.size} of "
                f"{weights.name}, which has {size}",
                subject=constant.name,
                remedy="The .bin was cut off or belongs to another .xml; copy both again.",
            )


def _producer(graph: IrGraph) -> str:
    """OpenVINO IR's version and, where it says so, what wrote it."""
    written = [graph.root.find(f"{place}/MO_version") for place in ("meta_data", "rt_info")]
    said = next((item.get("value") for item in written if item is not None and item.get("value")), "")
    return f"OpenVINO IR v{graph.version} {said}".strip()


def _embedded(graph: IrGraph) -> Embedded:
    """What the Model Optimizer noted of the preprocessing that it put into the network."""
    return Embedded(
        reverse_channels=_option(graph, "reverse_input_channels").lower() == "true",
        mean=_numbers(_option(graph, "mean_values")),
        scale=_numbers(_option(graph, "scale_values")) or _numbers(_option(graph, "scale")),
    )


def _option(graph: IrGraph, name: str) -> str:
    """An option's value in its own words; empty where it is not noted."""
    noted = (graph.root.find(f"{place}/{name}") for place in _NOTES)
    return next((item.get("value", "") for item in noted if item is not None), "")


def _numbers(text: str) -> str:
    """The text if it has a digit in it: what was not asked for is noted as (), {} or None."""
    return text if any(letter.isdigit() for letter in text) else ""
