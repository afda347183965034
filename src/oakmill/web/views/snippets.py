"""The few lines of Python with which a converted model runs on a camera."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from oakmill.hub.files import base_url
from oakmill.registry.tables import Instance, Model
from oakmill.web.page_context import PageContext

_PIPELINE = """\
with dai.Pipeline() as pipeline:
    camera = pipeline.create(dai.node.Camera).build()
    network = pipeline.create({node}).build(camera, archive)
    results = network.{out}.createOutputQueue()
    pipeline.start()
    while pipeline.isRunning():
        found = results.get()
        {shown}
"""
_BOXES = """\
for box in found.detections:
            print(f"{box.labelName} {box.confidence:.2f}", box.xmin, box.ymin, box.xmax, box.ymax)"""
_BLOB_BOXES = """\
import depthai as dai  # version 2

names = {names}
pipeline = dai.Pipeline()
camera = pipeline.create(dai.node.ColorCamera)
camera.setPreviewSize({size})
camera.setInterleaved(False)
network = pipeline.create(dai.node.YoloDetectionNetwork)
network.setBlobPath({file})
network.setNumClasses({classes})
network.setCoordinateSize(4)
network.setAnchors({anchors})
network.setAnchorMasks({masks})
network.setConfidenceThreshold({confidence})
network.setIouThreshold({iou})
camera.preview.link(network.input)
results = pipeline.create(dai.node.XLinkOut)
results.setStreamName("boxes")
network.out.link(results.input)
with dai.Device(pipeline) as device:
    boxes = device.getOutputQueue("boxes")
    while True:
        for box in boxes.get().detections:
            print(f"{{names[box.label]}} {{box.confidence:.2f}}", box.xmin, box.ymin, box.xmax, box.ymax)
"""
_DETECTORS = frozenset({"YOLO", "SSD"})
"""Parsers that depthai's DetectionNetwork has."""
_SHOWN = {
    **dict.fromkeys(
        ("YOLOExtendedParser", "SCRFDParser", "YuNetParser", "MPPalmDetectionParser", "RFDETRParser"), _BOXES
    ),
    "PPTextDetectionParser": _BOXES,
    "ClassificationParser": 'print(found.getTopClass(), f"{found.getTopScore():.2f}")',
    "ClassificationSequenceParser": 'print("".join(found.classes))',
    "SegmentationParser": "print(found.getUniqueIndices(), found.getLabels())",
    "HRNetParser": "print(found.getPoints2f())",
    "KeypointParser": "print(found.getPoints2f())",
    "SuperAnimalParser": "print(found.getPoints2f())",
}
"""What the messages of a parser hold, by depthai 3.12; of another one the message itself is shown."""


@dataclass(frozen=True)
class Snippet:
    """The same network from a file, and from the hub by its name."""

    file: str
    zoo: str
    address: str


def of(context: PageContext, *, model: Model, instance: Instance, file: str) -> Snippet:
    """Both ways; the file is an archive, or a blob that stands alone."""
    address = f"{model.team.slug}/{model.slug}:{_variant(instance)}:{(instance.sha256 or '')[:7]}"
    hub = f"{base_url(context.at, context.request)}/models/api/v1"
    said = f"model={json.dumps(address)}, platform={json.dumps(instance.model_type)}"
    zoo = (
        "import depthai as dai\n\n"
        f"dai.modelzoo.setHealthEndpoint({json.dumps(f'{hub}/health/')})\n"
        f"dai.modelzoo.setDownloadEndpoint({json.dumps(f'{hub}/models/download')})\n"
        f"description = dai.NNModelDescription({said})\n"
        f"archive = dai.NNArchive(dai.getModelFromZoo(description))\n\n"
    )
    shown = running(instance)
    if not instance.is_nn_archive:
        return Snippet(blob(instance, file), zoo + shown, address)
    opened = f"archive = dai.NNArchive({json.dumps(file)})"
    return Snippet(f"import depthai as dai\n\n{opened}\n\n{shown}", zoo + shown, address)


def _heads(instance: Instance) -> list[Mapping[str, Any]]:
    found = instance.facts.get("heads")
    return [head for head in found if isinstance(head, dict)] if isinstance(found, list) else []


def running(instance: Instance) -> str:
    """The network on the camera, by what its heads are: boxes with names, a parser's messages, or bare tensors."""
    parsers = [str(head.get("parser", "")) for head in _heads(instance)]
    if not parsers:
        return _PIPELINE.format(node="dai.node.NeuralNetwork", out="out", shown="print(found.getAllLayerNames())")
    if len(parsers) == 1 and parsers[0] in _DETECTORS:
        return _PIPELINE.format(node="dai.node.DetectionNetwork", out="out", shown=_BOXES)
    out, shown = ("out", _SHOWN.get(parsers[0], "print(found)")) if len(parsers) == 1 else ("outputs", "print(found)")
    node = _PIPELINE.format(node="ParsingNeuralNetwork", out=out, shown=shown)
    return f"from depthai_nodes.node import ParsingNeuralNetwork  # pip install depthai-nodes\n\n{node}"


class _Yolo(BaseModel):
    """What version 2 of depthai is told of a YOLO; as anybody's archive says it, which may be any text, it is checked.

    Args:
        angles_outputs: those of boxes that are turned, which that version does not read.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True, allow_inf_nan=False)

    classes: list[str] = Field(min_length=1)
    n_classes: PositiveInt
    anchors: list[list[list[int | float]]] | None = None
    strides: list[PositiveInt] | None = None
    conf_threshold: float | None = None
    iou_threshold: float | None = None
    angles_outputs: list[Any] | None = Field(None, max_length=0)

    def masks(self, width: int) -> dict[str, list[int]]:
        """The places of each output's anchors, by the cells in a row."""
        anchors = self.anchors or []
        first = [sum(map(len, anchors[:place])) for place in range(len(anchors))]
        return {
            f"side{width // stride}": list(range(begin, begin + len(pairs)))
            for stride, begin, pairs in zip(self.strides or (8, 16, 32), first, anchors, strict=False)
        }


def _yolo(instance: Instance) -> _Yolo | None:
    """Of the first head that is a YOLO, where all of it can be read."""
    head = next((head for head in _heads(instance) if head.get("parser") == "YOLO"), {})
    with suppress(ValidationError):
        return _Yolo.model_validate(head.get("metadata"))
    return None


def blob(instance: Instance, file: str) -> str:
    """A bare blob in version 2 of depthai: a YOLO's boxes with names, where its head is known; else the node alone."""
    yolo, shape = _yolo(instance), [size for size in (instance.input_shape or [[]])[0] if isinstance(size, int)]
    if yolo is None or len(shape) != len("NCHW"):
        bare = f"network = pipeline.create(dai.node.NeuralNetwork)\nnetwork.setBlobPath({json.dumps(file)})\n"
        return f"import depthai as dai\n\npipeline = dai.Pipeline()\n{bare}"
    return _BLOB_BOXES.format(
        names=_names(yolo), file=json.dumps(file), classes=yolo.n_classes, size=f"{shape[3]}, {shape[2]}",
        anchors=[number for output in yolo.anchors or () for pair in output for number in pair],
        masks=yolo.masks(shape[3]),
        confidence=0.5 if yolo.conf_threshold is None else yolo.conf_threshold,
        iou=0.5 if yolo.iou_threshold is None else yolo.iou_threshold,
    )  # fmt: skip


def _names(yolo: _Yolo) -> str:
    """The list of names as Python; of more than the hub notes, the number stands for the others."""
    known, count = len(yolo.classes), yolo.n_classes
    more = "" if known >= count else f" + [f'class {{number}}' for number in range({known}, {count})]"
    return json.dumps(yolo.classes, ensure_ascii=False) + more


def _variant(instance: Instance) -> str:
    """The variant's slug stands at the beginning of the instance's."""
    return instance.slug.rpartition(f"-{instance.model_type.lower()}-")[0]
