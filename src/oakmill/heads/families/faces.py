"""Detectors whose parsers know the anchors: SCRFD's faces, MediaPipe's palms, and finished detections of an SSD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, helper

from oakmill.heads import yunet
from oakmill.heads.decoders import Outputs
from oakmill.heads.families.base import Evidence, Reading, Sure
from oakmill.heads.families.described import Described, Graph, Output, sure_of

SCRFD, PALM, SSD, YUNET = "scrfd", "palm", "ssd", "yunet-2022"
COLUMNS = {"score": 1, "bbox": 4, "kps": 10}
"""Of SCRFD's outputs at each stride: a score, a box' distances to four sides, and five points."""
ANCHORS = 2
"""At each cell, of SCRFD."""
STRIDES = (8, 16, 32)
PALM_COLUMNS = 18
"""A box and seven points."""
PALMS = {192: 2016, 128: 896}
"""Anchors by the side of the image (depthai-nodes, utils/medipipe.py: strides 8, 16, 16, 16)."""
_DETECTION = {"iou_threshold": 0.5, "conf_threshold": 0.5, "max_det": 100, "anchors": None}


@dataclass(frozen=True)
class Renamed(Described):
    """Outputs that their parser looks up by names of its own."""

    renames: Mapping[str, str] = field(default_factory=dict)

    @property
    def ends(self) -> tuple[str, ...]:
        """The parser's names."""
        return tuple(self.renames[name] for name in self.outputs)

    def cut(self, model: ModelProto, platform: str) -> ModelProto:
        """The model with these names, where it has others."""
        if all(old == new for old, new in self.renames.items()):
            return model
        found = ModelProto()
        found.CopyFrom(model)
        old = {value.name: value for value in model.graph.output}
        del found.graph.output[:]
        for name, new in self.renames.items():
            found.graph.node.append(_same(name, new))
            found.graph.output.add().CopyFrom(old[name])
            found.graph.output[-1].name = new
        return found

    def before(self, outputs: Outputs) -> Reading:
        """The outputs by the parser's names."""
        return {self.renames[name]: outputs[name] for name in self.outputs}

    def apart(self, before: Outputs, after: Outputs) -> float:
        """How far the outputs are apart that are one under two names."""
        pairs = [(before[old].astype(np.float64), after[new].astype(np.float64)) for old, new in self.renames.items()]
        return max(float(np.abs(one - other).max(initial=0)) for one, other in pairs)


def _same(name: str, new: str) -> NodeProto:
    return helper.make_node("Identity", [name], [new], f"{new}/renamed")


def find_scrfd(model: ModelProto, evidence: Evidence) -> Renamed | None:
    """Nine outputs, a score, a box and five points at each anchor of three strides, whatever they are called."""
    graph = Graph(model)
    if evidence.size is None or len(graph.outputs) != len(COLUMNS) * len(STRIDES):
        return None
    rows, columns = evidence.size
    renames: dict[str, str] = {}
    for word, width in COLUMNS.items():
        for stride in STRIDES:
            anchors = ANCHORS * (rows // stride) * (columns // stride)
            found = [output for output in graph.outputs if _is_table(output, anchors, width, f"{word}_{stride}")]
            if len(found) != 1:
                return None
            renames[found[0].name] = f"{word}_{stride}"
    if len(renames) != len(graph.outputs):
        return None
    metadata = {**_DETECTION, "feat_stride_fpn": [*STRIDES], "num_anchors": ANCHORS}
    return Renamed(
        SCRFD, "a detector of faces (SCRFD)", "a score, a box and five points at two anchors of each cell",
        sure_of(evidence, SCRFD, Sure.CERTAIN), tuple(renames), "SCRFDParser", metadata, 1, ("face",), renames,
    )  # fmt: skip


def _is_table(output: Output, rows: int, columns: int, name: str) -> bool:
    """Whether an output is [N, C] or [1, N, C]; where N is open its name has to say which it is."""
    shape = output.shape
    if len(shape) == 2:
        shape = (1, *shape)
    sides = output.value.type.tensor_type.shape.dim
    open_rows = len(sides) == 2 and not sides[0].dim_value
    if len(shape) != 3 or shape[0] != 1 or shape[2] != columns:
        return False
    return output.name == name if open_rows or shape[1] is None else shape[1] == rows


def find_yunet(model: ModelProto, evidence: Evidence) -> Renamed | None:
    """Three outputs, at each of its anchors a box with five points, a Softmax of two scores and an overlap."""
    graph = Graph(model)
    if evidence.size is None or len(graph.outputs) != len(yunet.COLUMNS):
        return None
    rows = yunet.count(evidence.size)
    found = {word: [output for output in graph.outputs if _is_table(output, rows, columns, word)]
             for word, columns in yunet.COLUMNS.items()}  # fmt: skip
    if any(len(outputs) != 1 for outputs in found.values()) or not found["conf"][0].ends_in("Softmax"):
        return None
    renames = {outputs[0].name: word for word, outputs in found.items()}
    return Renamed(
        YUNET, "a detector of faces (YuNet of 2022)",
        f"a box with five points, two scores and an overlap at {rows} anchors",
        sure_of(evidence, YUNET, Sure.CERTAIN), tuple(renames), "YuNetParser", {**_DETECTION}, 1, ("face",), renames,
    )  # fmt: skip


def find_palm(model: ModelProto, evidence: Evidence) -> Described | None:
    """Boxes with seven points [1, N, 18], and their scores [1, N, 1]."""
    graph, size = Graph(model), evidence.size
    if size is None or size[0] != size[1] or len(graph.outputs) != 2 or size[0] not in PALMS:
        return None
    rows = PALMS[size[0]]
    boxes = [output for output in graph.outputs if output.shape == (1, rows, PALM_COLUMNS)]
    scores = [output for output in graph.outputs if output.shape in ((1, rows, 1), (1, rows))]
    if len(boxes) != 1 or len(scores) != 1:
        return None
    return Described(
        PALM, "a detector of palms (MediaPipe)", f"a box with seven points and a score at each of {rows} anchors",
        sure_of(evidence, PALM, Sure.CERTAIN), (boxes[0].name, scores[0].name), "MPPalmDetectionParser",
        {**_DETECTION, "scale": size[0]}, 1, ("palm",),
    )  # fmt: skip


def find_ssd(model: ModelProto, evidence: Evidence) -> Described | None:
    """Finished detections [1, 1, N, 7]: image, class, score and corners; how many classes there are, nothing shows."""
    output = Graph(model).only
    if output is None or len(output.shape) != 4 or output.shape[:2] != (1, 1) or output.shape[3] != 7:
        return None
    metadata = {**_DETECTION, "boxes_outputs": output.name, "scores_outputs": output.name}
    return Described(
        SSD, "finished detections (SSD)", "rows of seven numbers, as of image, class, score and corners",
        sure_of(evidence, SSD, Sure.LIKELY), (output.name,), "SSD", metadata, evidence.named or 1,
    )  # fmt: skip
