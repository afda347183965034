"""Maps: the class of each pixel, depth, images, and heatmaps of keypoints."""

from __future__ import annotations

from onnx import ModelProto

from oakmill.heads.decoders import Size
from oakmill.heads.families.base import Evidence, Sure
from oakmill.heads.families.described import Described, Graph, Output, attribute, counted, sure_of

SEGMENTATION, DEPTH, IMAGE, HEATMAPS = "segmentation", "depth", "image", "heatmaps"
MOST_CLASSES = 255
"""Classes of pixels that DepthAI's masks tell apart; 255 stands for none."""
SKELETONS = (14, 16, 17, 18, 21, 68, 98, 133)
"""Keypoints of bodies, hands and faces in the usual data sets."""
SCORE_THRESHOLD = 0.5
"""The default of HRNetParser in depthai-nodes 0.7.0."""
_LINEAR = ("Conv", "ConvTranspose", "Resize", "Upsample", "Add")


def find_segmentation(model: ModelProto, evidence: Evidence) -> Described | None:
    """Scores of classes [1, K, H, W], or their numbers [1, H, W], as a model's only output."""
    output = Graph(model).only
    if evidence.size is None or output is None:
        return None
    if output.ends_in("ArgMax") and (found := _numbers(output, evidence)):
        return found
    if not output.is_float or not output.map or not 2 <= output.map[0] <= MOST_CLASSES:
        return None
    sure, seen = _classes(output, evidence)
    if sure is None and evidence.wanted != SEGMENTATION:
        return None
    metadata = {"is_softmax": output.softmax_axis() == 1, "background_class": False}
    return _segmentation(output, evidence, sure or Sure.GUESS, seen, output.map[0], metadata)


def _segmentation(
    output: Output, evidence: Evidence, sure: Sure, seen: str, classes: int, metadata: dict[str, bool]
) -> Described:
    return Described(
        SEGMENTATION, f"a segmentation of {counted(classes, 'class')}", seen, sure_of(evidence, SEGMENTATION, sure),
        (output.name,), "SegmentationParser", metadata, classes,
    )  # fmt: skip


def _numbers(output: Output, evidence: Evidence) -> Described | None:
    """The best class of each pixel, which an ArgMax over the channels gives."""
    node = output.last
    if node is None or len(output.shape) not in (3, 4) or attribute(node, "axis", 0) not in (1, -3):
        return None
    classes = output.graph.channels(node.input[0])
    if not 2 <= classes <= MOST_CLASSES:
        return None
    metadata = {"is_softmax": False, "background_class": False, "classes_in_one_layer": True}
    return _segmentation(output, evidence, Sure.CERTAIN, "an ArgMax over classes at each pixel", classes, metadata)


def _classes(output: Output, evidence: Evidence) -> tuple[Sure | None, str]:
    channels, height, width = output.map or (0, None, None)
    if output.softmax_axis() == 1 and not (height == width == 1):
        return Sure.CERTAIN, "a Softmax over classes at each pixel"
    if not output.ends_in(*_LINEAR) or evidence.size is None:
        return None, ""
    if evidence.named == channels and _is_of(output, evidence.size):
        return Sure.CERTAIN, "--classes names as many classes as the image's map has channels"
    if output.is_called("seg", "segmentation", "mask", "semantic"):
        return Sure.LIKELY, f"a map that is called {output.name!r}"
    if channels not in (3, 4) and _is_of(output, evidence.size):
        return Sure.GUESS, f"{channels} numbers at each pixel"
    return None, ""


def _is_of(output: Output, size: Size, *, parts: int = 1) -> bool:
    """Whether a map has the image's size, or the given part of it."""
    _, height, width = output.map or (0, None, None)
    return height is not None and width is not None and (height * parts, width * parts) == size


def find_depth(model: ModelProto, evidence: Evidence) -> Described | None:
    """One number at each pixel, [1, 1, H, W] or [1, H, W], as a model's only output."""
    output = Graph(model).only
    if evidence.size is None or output is None or not output.is_float:
        return None
    flat = len(output.shape) == 3 and output.shape[0] == 1 and output.shape[2] not in (1, 4)
    called = output.is_called("depth", "disparity", "disp")
    if not (flat or (output.map and output.map[0] == 1)) or not (called or evidence.wanted == DEPTH):
        return None
    if output.length or (flat and not called and not output.ends_in(*_LINEAR, "Relu", "Sigmoid", "Div", "Mul")):
        return None
    return Described(
        DEPTH, "a map of depth", f"one number at each pixel, called {output.name!r}",
        sure_of(evidence, DEPTH, Sure.CERTAIN), (output.name,), "MapOutputParser", {"min_max_scaling": False},
    )  # fmt: skip


def find_image(model: ModelProto, evidence: Evidence) -> Described | None:
    """An image [1, 3, H, W] of the input's size, or a multiple of it, as a model's only output."""
    output = Graph(model).only
    if evidence.size is None or output is None or not output.is_float or not output.map or output.map[0] != 3:
        return None
    _, height, width = output.map
    rows, columns = evidence.size
    if not height or not width or height % rows or width % columns or height // rows != width // columns:
        return None
    called = output.is_called("image", "img", "picture", "rgb")
    sure = Sure.CERTAIN if called else Sure.GUESS
    seen = "three numbers at each pixel" + (f", called {output.name!r}" if called else "")
    return Described(
        IMAGE, f"an image of {width} x {height}", seen, sure_of(evidence, IMAGE, sure), (output.name,),
        "ImageOutputParser", {"output_is_bgr": False},
    )  # fmt: skip


def find_heatmaps(model: ModelProto, evidence: Evidence) -> Described | None:
    """A map for each keypoint [1, K, H, W], of one person or hand, as a model's only output."""
    output = Graph(model).only
    if evidence.size is None or output is None or not output.is_float or not output.map or output.map[0] < 2:
        return None
    called = output.is_called("heatmap", "hm")
    usual = output.map[0] in SKELETONS and _is_of(output, evidence.size, parts=4) and output.ends_in("Conv")
    if not (called or usual or evidence.wanted == HEATMAPS):
        return None
    seen = f"maps that are called {output.name!r}" if called else f"{output.map[0]} maps at a quarter of the image"
    metadata = {"n_keypoints": output.map[0], "score_threshold": SCORE_THRESHOLD}
    sure = sure_of(evidence, HEATMAPS, Sure.LIKELY if called else Sure.GUESS)
    return Described(
        HEATMAPS, f"heatmaps of {output.map[0]} keypoints", seen, sure, (output.name,), "HRNetParser", metadata
    )
