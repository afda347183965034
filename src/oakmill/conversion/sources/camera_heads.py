"""Ends a recognised detector where DepthAI's parser reads it, with its head and class names, and proves it the same.

An export that decodes its own boxes gives an archive that no parser of the camera understands. What is certain is cut:
the file says that Ultralytics' exporter wrote it, and its graph has that form. Both networks then run, and must find
the same boxes; else the source stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import ModelProto

from oakmill.errors import OakmillError
from oakmill.findings import Finding, Severity
from oakmill.graph import equality
from oakmill.graph.skeleton import infer_shapes
from oakmill.heads.boxes import Boxes
from oakmill.heads.decoders import Rows, Size, YoloGrid
from oakmill.heads.families import dfl, ultralytics
from oakmill.model.source import SourceModel
from oakmill.preflight.inputs import shapes_of
from oakmill.spec import Encoding, InputSpec

PROOFS = 2
"""Images of noise on which the network before and after the cut must find the same boxes."""
CLOSE = 1e-5
"""How far corners, in parts of the image, and scores may be apart: sums of 16 float32 numbers in another order."""
RGB_BY_255 = {"scale_values": (255.0,), "encoding_from": Encoding.RGB, "encoding_to": Encoding.BGR}


@dataclass(frozen=True)
class Applied:
    """The network as it is converted, its source with the head, and what is told."""

    network: Any
    source: SourceModel
    findings: tuple[Finding, ...] = ()


def preprocessed(asked: Sequence[InputSpec], source: SourceModel) -> tuple[tuple[InputSpec, ...], tuple[Finding, ...]]:
    """The inputs with what Ultralytics' models are trained on, RGB divided by 255, where nobody said anything of it.

    An archive's words and the user's count as said; a value is never replaced.
    """
    shapes = [item.shape for item in source.inputs]
    of_colours = len(shapes) == 1 and len(shapes[0]) == len("NCHW") and shapes[0][1] == 3
    if len(asked) != 1 or not of_colours or source.archive or not ultralytics.read(source.metadata):
        return tuple(asked), ()
    item = asked[0]
    if any((item.mean_values, item.scale_values, item.encoding_from, item.encoding_to)):
        return tuple(asked), ()
    told = Finding(
        "preprocessing_of_export", Severity.NOTE,
        f"input {asked[0].name!r} takes RGB divided by 255, as models of Ultralytics' exporter do: --scale-values 255 "
        "--encoding-from RGB", "preprocessing is known", subject=asked[0].name or "",
        remedy="give --scale-values and --encoding-from yourself where it was trained otherwise",
    )  # fmt: skip
    return (InputSpec.model_validate({**asked[0].model_dump(exclude_none=True), **RGB_BY_255}),), (told,)


def applied(network: Any, source: SourceModel, asked: Sequence[InputSpec], seed: int) -> Applied:
    """Cut what is certain, unless an archive has said already what its outputs are.

    Args:
        network: the source's graph, with all its outputs; anything but ONNX is given back as it is.
        source: where it comes from; its `metadata` are the file's.
        asked: what is asked of the inputs; their shapes count.
        seed: of the images that prove it.
    """
    export = ultralytics.read(source.metadata) if isinstance(network, ModelProto) and not source.archive else None
    if export is None or export.task != "detect":
        return Applied(network, source)
    size = _size(network, asked)
    detector = dfl.find(network)
    if detector is None:
        return Applied(network, source, (_left("its graph has another form than is known for YOLO v8 to v12"),))
    if size is None:
        return Applied(network, source)  # an open shape is refused with its own words
    if any(side % export.stride for side in size):
        why = f"{size[1]} x {size[0]} is no multiple of its stride {export.stride}"
        return Applied(network, source, (_left(why),))
    return _cut(network, source, detector, export, size, seed)


def _cut(
    network: ModelProto, source: SourceModel, detector: dfl.Detector, export: ultralytics.Export, size: Size, seed: int
) -> Applied:
    ended = dfl.cut(network, detector)
    try:
        grids, apart = _prove(network, ended, detector, size, seed)
    except OakmillError as error:
        return Applied(network, source, (_left(f"the network with other ends cannot be run: {error.message}"),))
    if apart:
        return Applied(network, source, (_left(apart),))
    names, told = _names(export, detector)
    described = dfl.head(detector, names, [size[0] // rows for rows in grids])
    archive = {"model": {"inputs": [], "heads": [described]}}
    seen = Finding(
        "head_recognised", Severity.NOTE,
        f"output {detector.output!r} is of a YOLO detector of {detector.classes} classes (Ultralytics "
        f"{export.version}): the network ends at {', '.join(detector.names)}, which DepthAI's parser reads, with a "
        f"head and class names; the same boxes are found before and after on {PROOFS} images",
        "a detector is recognised", subject=detector.output, remedy="--keep-outputs keeps the source's own outputs",
    )  # fmt: skip
    return Applied(infer_shapes(ended), replace(source, archive=archive), (seen, *told))


def _names(export: ultralytics.Export, detector: dfl.Detector) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The classes' names; where there are not as many as classes, numbers stand for them, which is told."""
    if len(export.names) == detector.classes:
        return export.names, ()
    told = Finding(
        "class_names_missing", Severity.NOTE,
        f"the export names {len(export.names)} classes and its network has {detector.classes}: they are numbered",
        "classes without names", subject=detector.output,
    )  # fmt: skip
    return tuple(f"class {number}" for number in range(detector.classes)), (told,)


def _left(why: str) -> Finding:
    return Finding(
        "head_unknown", Severity.NOTE,
        f"a detector of Ultralytics' exporter keeps its own outputs, which DepthAI's parser does not read: {why}",
        "no head is written", remedy="an NN Archive of the source can declare its heads",
    )  # fmt: skip


def _size(model: ModelProto, asked: Sequence[InputSpec]) -> Size | None:
    """Height and width of the one image input; None where they are open."""
    shapes = shapes_of(model.graph.input, asked)
    stated = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    shape = tuple(shapes.get(model.graph.input[0].name) or stated)
    return (shape[2], shape[3]) if len(shape) == 4 and min(shape[2:]) > 0 else None


def _prove(
    whole: ModelProto, ended: ModelProto, detector: dfl.Detector, size: Size, seed: int
) -> tuple[list[int], str]:
    """The rows of each grid, and how the boxes of both networks differ; empty where they do not."""
    before, after = equality.Session(whole), equality.Session(ended)
    random, name = np.random.default_rng(seed), whole.graph.input[0].name
    rows: list[int] = []
    for _ in range(PROOFS):
        image = {name: random.random((1, 3, *size), dtype=np.float32)}
        outputs = after.run(image)
        rows = [outputs[grid].shape[2] for grid in detector.names]
        wanted = Rows(detector.output, size, objectness=False, transposed=True, form="pixels").decode(before.run(image))
        found = YoloGrid(detector.names, "yolov8", detector.classes, size).decode(outputs)
        if apart := _apart(wanted, found):
            return rows, apart
    return rows, ""


def _apart(wanted: Boxes, found: Boxes) -> str:
    if len(wanted) != len(found):
        return f"it would find {len(found)} boxes in the place of {len(wanted)}"
    pairs = ((wanted.corners, found.corners), (wanted.scores, found.scores))
    worst = max(float(np.abs(a - b).max(initial=0)) for a, b in pairs)
    return f"boxes or scores would be {worst:.2g} apart" if worst > CLOSE else ""
