"""Reads outputs as a camera app does: depthai's own parsers, on the host, built from an NN Archive's heads alone.

A process of its own, for an error in a node of depthai may end the whole process. It loads depthai, then reads a line
of JSON from stdin: `archive`, `outputs` (a list of .npz files, one an image, whose arrays are in the order of the
outputs' `names`), `halves` (outputs that the device gives in FP16), `size` (width and height of the image),
`thresholds` (for each head a score, None for its own) and `answer`, the file for it. The answer is JSON: for each head
its parser and, for each image, what it found.
"""

from __future__ import annotations

import base64
import faulthandler
import json
import os
import sys
import zlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

DETECTING = frozenset({"DetectionParser", "YOLO", "YOLOExtendedParser", "SSD"})
"""The heads that depthai-nodes 0.7.0, which makes parsers of heads, gives to depthai's DetectionParser."""
PATIENCE = timedelta(seconds=10)
"""How long one image may take: a node that failed never answers."""
IMAGE = "outputs "
"""What its log says before each image, with its file."""
HANGS_AFTER = 30.0
"""Seconds after which it ends itself, and says where it hung; most of them are for a machine that is busy."""


def parser_class(name: str) -> Any:
    """depthai's node for a head's parser, as depthai-nodes chooses it; None where depthai has none."""
    import depthai as dai

    if name in DETECTING:
        return dai.node.DetectionParser
    found = getattr(dai.node, name, None) or getattr(dai.beta.node, name, None)
    return found if isinstance(found, type) and hasattr(found, "setNNArchiveHead") else None


def parse(request: Mapping[str, Any]) -> dict[str, Any]:
    """What each head's parser finds, by head: its class, and for each image its kind of message in plain data."""
    import depthai as dai

    archive = dai.NNArchive(Path(request["archive"]))
    heads = archive.getConfig().model.heads or []
    return {"depthai": dai.__version__, "heads": [_head(archive, place, request) for place in range(len(heads))]}


def _head(archive: Any, place: int, request: Mapping[str, Any]) -> dict[str, Any]:
    head = archive.getConfig().model.heads[place]
    node = parser_class(head.parser)
    if node is None:
        return {"parser": head.parser, "node": "", "images": []}
    print(f"parser {head.parser}", flush=True)
    threshold = request["thresholds"][place]
    return {"parser": head.parser, "node": node.__name__, "images": _run(node, archive, place, threshold, request)}


def _run(
    node: Any, archive: Any, place: int, threshold: float | None, request: Mapping[str, Any]
) -> list[dict[str, Any]]:
    import depthai as dai

    pipeline = dai.Pipeline(createImplicitDevice=False)
    parser = pipeline.create(node)
    parser.setRunOnHost(True)
    heads = archive.getConfig().model.heads
    if len(heads) == 1:
        parser.setNNArchive(archive)
    else:
        parser.setNNArchiveHead(heads[place])
    if hasattr(parser, "setInputSize"):
        parser.setInputSize(*request["size"])
    if threshold is not None:
        parser.setConfidenceThreshold(threshold)
    given, found = parser.input.createInputQueue(), parser.out.createOutputQueue()
    pipeline.start()
    answers = []
    for file in request["outputs"]:
        print(f"{IMAGE}{file}", flush=True)  # where the node ends the process, this says on what
        given.send(_message(Path(file), request, rows_twice=node is dai.node.DetectionParser))
        answer = found.get(PATIENCE)
        if answer is None:
            raise TimeoutError(f"{node.__name__} gives no answer")
        answers.append(_plain(answer))
    return answers


def _message(file: Path, request: Mapping[str, Any], *, rows_twice: bool) -> Any:
    """A device's message: what comes in FP16 from it is so here.

    From numpy, depthai takes the stride of a dimension of 1 for 0, and reads nothing then: maps come without their
    batch, and rows [1, A, B], such as keypoints, twice where its parser would skip them; it reads the first.
    """
    import depthai as dai

    orders = {4: dai.TensorInfo.StorageOrder.CHW, 3: dai.TensorInfo.StorageOrder.CHW}
    message = dai.NNData()
    message.setTransformation(dai.ImgTransformation(*request["size"]))
    with np.load(file) as kept:
        for place, name in enumerate(request["names"]):
            values: Any = kept[f"arr_{place}"]
            whole = values.dtype.kind in "biu"  # classes of pixels: a parser of those takes nothing else
            values = values.astype(np.int32 if whole else np.float32)
            order = orders.get(values.ndim, dai.TensorInfo.StorageOrder.NC)
            if values.ndim == 3 and rows_twice:
                values = np.concatenate([values, values])
            values = np.ascontiguousarray(values[0] if values.ndim == 4 and len(values) == 1 else values)
            if whole:
                message.addTensor(name, values, dai.TensorInfo.DataType.INT)
            elif name in request["halves"]:
                message.addTensor(name, values, order)  # with an order, depthai keeps floats in FP16
            else:
                message.addTensor(name, values)
    return message


def _plain(message: Any) -> dict[str, Any]:
    """A parser's answer as plain data."""
    found: dict[str, Any] = {"message": type(message).__name__}
    if hasattr(message, "detections"):
        found["detections"] = [_detection(item) for item in message.detections]
        if hasattr(message, "getCvSegmentationMask") and (mask := message.getCvSegmentationMask()) is not None:
            found["mask"] = _packed(np.asarray(mask, np.uint8))
    elif hasattr(message, "classes") and hasattr(message, "scores"):
        found["classes"], found["scores"] = list(message.classes), [float(score) for score in message.scores]
    return found


def _detection(item: Any) -> dict[str, Any]:
    """Class, name, score, corners in parts of the image; the angle in degrees of a box that is turned."""
    return {
        "label": int(item.label),
        "name": str(item.labelName),
        "score": float(item.confidence),
        "corners": [float(item.xmin), float(item.ymin), float(item.xmax), float(item.ymax)],
        "angle": float(item.getAngle()) if hasattr(item, "getAngle") else 0.0,
        "keypoints": _points(item),
    }


def _points(item: Any) -> list[list[float]]:
    """Each keypoint's x and y in parts of the image, and how visible it is."""
    points: Sequence[Any] = item.getKeypoints() if hasattr(item, "getKeypoints") else ()
    return [
        [float(point.imageCoordinates.x), float(point.imageCoordinates.y), float(point.confidence)] for point in points
    ]


def _packed(mask: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The number of the box that each pixel is of, [H, W]; of 640 x 640 pixels it is a few kB."""
    return {"size": list(mask.shape), "bytes": base64.b64encode(zlib.compress(mask.tobytes(), 1)).decode()}


def main() -> None:
    """Load depthai, wait for the request, and answer it."""
    import depthai  # noqa: F401 - loaded while nobody waits

    code = 1
    try:
        if line := sys.stdin.readline():
            request = json.loads(line)
            faulthandler.dump_traceback_later(request["seconds"], exit=True)
            Path(request["answer"]).write_text(json.dumps(parse(request)))
        code = 0
    except Exception as error:  # noqa: BLE001 - the log's last line says what it was
        print(f"{type(error).__name__}: {error}")
    sys.stdout.flush()
    os._exit(code)  # depthai's threads may wait for each other when it is taken down


if __name__ == "__main__":
    main()
