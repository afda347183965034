"""Families of heads: how each is recognised in a graph, where it is cut for the camera, how it is described.

The one list: a new family is a module and a row. The surest that finds itself in a graph has it; of equals, the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnx import ModelProto

from oakmill.heads.families import (
    anchored_raw,
    centred,
    distances,
    face_rows,
    faces,
    maps,
    picodet,
    texts,
    vectors,
)  # fmt: skip
from oakmill.heads.families.base import Evidence, Family, Found, Sure
from oakmill.spec import Encoding

RGB = {"encoding_from": Encoding.RGB, "encoding_to": Encoding.BGR}
RGB_BY_255 = {"scale_values": (255.0,), **RGB}
RGB_BY_128 = {"mean_values": (127.0,), "scale_values": (128.0,), **RGB}
RGB_OF_IMAGENET = {"mean_values": (123.675, 116.28, 103.53), "scale_values": (58.395, 57.12, 57.375), **RGB}
BGR = {"encoding_from": Encoding.BGR, "encoding_to": Encoding.BGR}

ROWS: tuple[Family, ...] = (
    Family(
        distances.Distances.family,
        "YOLO v5u, v6 from release 2, v8 to v12, v26 and Gold",
        distances.find,
        RGB_BY_255,
        "convolutions on grids that give distances to the sides and a Sigmoid of scores, joined to one output",
    ),
    Family(
        centred.Centred.family,
        "YOLOX and YOLO v6 of its first release",
        centred.find,
        BGR,
        "convolutions on grids that give boxes, a Sigmoid of objectness and one of scores, joined to one output",
    ),
    Family(
        anchored_raw.V5,
        "YOLO v5 and v7 with anchors, and v3 and v4 of the same form; with masks too",
        anchored_raw.find_five,
        RGB_BY_255,
        "a Sigmoid of each grid's convolution, and anchors as constants; or grids [1, 3, H, W, 5 + K] before their "
        "Sigmoid, at the usual anchors of v5 and v7-tiny",
    ),
    Family(
        anchored_raw.V7,
        "YOLO v7",
        anchored_raw.find_seven,
        RGB_BY_255,
        "what `yolov5` needs; or grids [1, 3, H, W, 5 + K] before their Sigmoid, at the usual anchors of v7",
    ),
    Family(
        picodet.PICODET,
        "PicoDet of PaddleDetection",
        picodet.find,
        RGB_OF_IMAGENET,
        "scores [1, N, K] and bins [1, N, 4 R] for each of the strides 8, 16, 32 and 64, or all boxes [1, N, 4] and "
        "scores [1, K, N]",
    ),
    Family(
        faces.SCRFD,
        "SCRFD, faces with five points",
        faces.find_scrfd,
        needs="nine outputs: a score, a box and five points at two anchors of each cell of 8, 16 and 32 pixels",
    ),
    Family(
        face_rows.ULTRAFACE,
        "UltraFace, faces",
        face_rows.find_ultraface,
        RGB_BY_128,
        needs="boxes [1, N, 4] that the graph decodes and a Softmax of scores [1, N, 2], N as UltraFace has it",
    ),
    Family(
        face_rows.YUNET,
        "YuNet of 2023, faces",
        face_rows.find_yunet,
        BGR,
        needs="twelve outputs: two Sigmoids [1, N, 1], [1, N, 4] and [1, N, 10] for each of the strides 8, 16 and 32",
    ),
    Family(
        faces.YUNET,
        "YuNet of 2022 and before, faces with five points",
        faces.find_yunet,
        BGR,
        "[N, 14], a Softmax [N, 2] and [N, 1], N as the anchors of YuNet are",
    ),
    Family(
        face_rows.RETINAFACE,
        "RetinaFace, faces",
        face_rows.find_retinaface,
        needs="[1, N, 4], a Softmax [1, N, 2] and [1, N, 10], at two anchors of each cell of 8, 16 and 32 pixels",
    ),
    Family(
        faces.PALM,
        "MediaPipe, palms",
        faces.find_palm,
        needs="boxes [1, 2016, 18] and scores [1, 2016, 1] of 192 pixels, or 896 of 128",
    ),
    Family(faces.SSD, "finished detections of an SSD", faces.find_ssd, needs="one output [1, 1, N, 7]"),
    Family(
        texts.TEXT,
        "text, character by character (CTC)",
        texts.find_text,
        needs="one output [1, T, K] of 11 classes or more",
    ),
    Family(
        texts.TEXT_DETECTION,
        "regions of text (DB, PaddleOCR)",
        texts.find_text_detection,
        needs="one output [1, 1, H, W], a Sigmoid",
    ),
    Family(
        vectors.CLASSIFICATION,
        "scores of classes",
        vectors.find_classification,
        needs="one output [1, K] of floating-point numbers",
    ),
    Family(
        vectors.EMBEDDING, "an embedding", vectors.find_embedding, needs="one output [1, K] of floating-point numbers"
    ),
    Family(
        vectors.REGRESSION,
        "numbers of a regression",
        vectors.find_regression,
        needs="one output [1, K] of floating-point numbers",
    ),
    Family(
        maps.SEGMENTATION,
        "the class of each pixel",
        maps.find_segmentation,
        needs="one output [1, K, H, W] of 2 to 255 classes, or an ArgMax of one",
    ),
    Family(
        maps.DEPTH,
        "depth or disparity",
        maps.find_depth,
        needs="one output [1, 1, H, W] or [1, H, W] of floating-point numbers",
    ),
    Family(
        maps.HEATMAPS,
        "a heatmap for each keypoint",
        maps.find_heatmaps,
        needs="one output [1, K, H, W] of floating-point numbers",
    ),
    Family(maps.IMAGE, "an image", maps.find_image, needs="one output [1, 3, H, W] of the image's size or a multiple"),
)
"""All families, those with the clearest marks first."""
MOST_CLASSES = 100_000
"""Of a head, each with a name in the archive; ImageNet-21k has 21,841. A shape may claim any number."""
_ORDER = (Sure.CERTAIN, Sure.LIKELY, Sure.GUESS)


def recognise(model: ModelProto, evidence: Evidence) -> Found | None:
    """What the outputs of a graph are, with how sure that is; None where no family knows them.

    Args:
        model: a graph with its small constants; large weights may lie elsewhere.
        evidence: what else is known; of families, only the one that is `wanted` is asked, where one is.
    """
    best: Found | None = None
    for row in ROWS if model.graph.output else ():
        found = row.find(model, evidence) if evidence.wanted in ("", row.name) else None
        if found is not None and found.classes > MOST_CLASSES:
            continue
        if found is not None and found.sure is Sure.CERTAIN:
            return found
        if found is not None and (best is None or _ORDER.index(found.sure) < _ORDER.index(best.sure)):
            best = found
    return best


def preprocessing(found: Found | None, evidence: Evidence) -> Mapping[str, Any]:
    """What the network was trained on, as fields of an `InputSpec`, where it is certain or said what it is.

    All that Ultralytics' exporter writes takes RGB divided by 255, whatever its task.
    """
    if evidence.export:
        return RGB_BY_255
    if found is None or (found.sure is not Sure.CERTAIN and not evidence.wanted):
        return {}
    return next(row.preprocessing for row in ROWS if row.name == found.family)
