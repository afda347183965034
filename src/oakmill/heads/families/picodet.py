"""PicoDet of PaddleDetection: distributions of distances, and scores of their own on each grid of four strides.

An export without post-processing gives two outputs for each grid, [1, N, K] of scores and [1, N, 4 R] of bins; one
without the choice of boxes decodes all of them, [1, N, 4] in pixels and [1, K, N]. DepthAI's parser reads neither, but
reads maps of distances and scores. Formulas: PaddleDetection, ppdet/modeling/heads/pico_head.py, whose configurations
count from the middle of a cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from onnx import ModelProto

from oakmill.heads.boxes import Floats
from oakmill.heads.decoders import Outputs, Size, YoloGrid, softmax
from oakmill.heads.families.base import Evidence, Sure
from oakmill.heads.families.described import Graph as Ends
from oakmill.heads.families.described import Output, sure_of
from oakmill.heads.families.endings import SIDES, Endings
from oakmill.heads.families.grids import OnGrids, Seen, apart, counted
from oakmill.heads.families.tracing import FARTHEST, MOST_BINS, Graph
from oakmill.spec import class_names

PICODET = "picodet"
STRIDES = (8, 16, 32, 64)
"""Of its grids; of some only the first three."""
_SHAPED = frozenset({"Reshape", "Transpose", "Flatten", "Identity", "Unsqueeze", "Squeeze"})
_PADDLE = "Paddle"


@dataclass(frozen=True)
class Grid:
    """One stride's map of bins [1, 4 R, H, W], and that of scores [1, K, H, W], before their Sigmoid where `logits`."""

    distances: str
    scores: str
    logits: bool


@dataclass(frozen=True)
class Separate:
    """The form of a source that has two outputs for each grid: `boxes` [1, N, 4 R] and `scores` [1, N, K]."""

    boxes: tuple[str, ...]
    scores: tuple[str, ...]
    strides: tuple[int, ...]
    classes: int

    @property
    def output(self) -> str:
        """The first of them."""
        return self.scores[0]

    @property
    def outputs(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.scores, *self.boxes)

    def seen(self, outputs: Outputs, size: Size) -> Seen:
        """What it says of one image, decoded as its makers do."""
        scores = np.concatenate([outputs[name][0] for name in self.scores]).astype(np.float64)
        bins = [outputs[name][0].astype(np.float64) for name in self.boxes]
        steps = np.concatenate([np.full((len(rows), 1), step) for rows, step in zip(bins, self.strides, strict=True)])
        distances = np.concatenate([_weighed(rows) for rows in bins]) * steps
        centres = np.concatenate([_centres(size, stride) for stride in self.strides])
        corners = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], 1)
        return Seen(corners / np.tile(size[::-1], 2), scores, np.zeros((len(corners), 0)))


@dataclass(frozen=True)
class Joined:
    """The form of one that decodes: `boxes` [1, N, 4], corners in pixels, and `scores` [1, K, N]."""

    boxes: str
    scores: str
    classes: int

    @property
    def output(self) -> str:
        """The boxes."""
        return self.boxes

    @property
    def outputs(self) -> tuple[str, ...]:
        """Both."""
        return (self.boxes, self.scores)

    def seen(self, outputs: Outputs, size: Size) -> Seen:
        """What it says of one image."""
        corners = outputs[self.boxes][0].astype(np.float64) / np.tile(size[::-1], 2)
        return Seen(corners, outputs[self.scores][0].T.astype(np.float64), np.zeros((len(corners), 0)))


def _weighed(rows: Floats) -> Floats:
    """Distances [N, 4] in cells of rows [N, 4 R]: each bin's number by how likely it is."""
    bins = rows.reshape(len(rows), SIDES, -1)
    distances: Floats = softmax(bins, 2) @ np.arange(bins.shape[2])
    return distances


def _shape(size: Size, stride: int) -> tuple[int, int]:
    """Rows and columns of a grid, the last of which may reach beyond the image."""
    return -(-size[0] // stride), -(-size[1] // stride)


def _centres(size: Size, stride: int) -> Floats:
    rows, columns = _shape(size, stride)
    cells: Floats = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2).astype(np.float64)
    return (cells + 0.5) * stride


@dataclass(frozen=True)
class Picodet(OnGrids):
    """A detector of this family."""

    source: Separate | Joined
    grids: tuple[Grid, ...]
    bins: int
    how_sure: Sure

    family: ClassVar[str] = PICODET
    seen: ClassVar[str] = "distributions of distances to the sides of boxes and scores, on the same grids"

    @property
    def sure(self) -> Sure:  # type: ignore[override]
        """Certain where the graph decodes its boxes, or Paddle wrote it."""
        return self.how_sure

    @property
    def names(self) -> tuple[str, ...]:
        """Those that the file notes: a literal, or a line for each, as the models of RapidAI have them."""
        lines = self.evidence.metadata.get("character", "").splitlines()
        with suppress(ValueError):
            return self.evidence.names or (class_names.checked(lines) if len(lines) == self.classes else ())
        return ()

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"a detector (PicoDet) of {counted(self.classes)}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """All of the source's outputs."""
        return self.source.outputs

    def problem(self) -> str:
        """There is none: a grid may reach beyond the image."""
        return ""

    def cut(self, model: ModelProto, platform: str) -> ModelProto:
        """The network that ends at an output for each grid; a copy."""
        ending = Endings(model, np.float32)
        for name, grid, stride in zip(self.ends, self.grids, self.strides, strict=True):
            sides = ending.distances(grid.distances, name, self.bins)
            scores = ending.node("Sigmoid", [grid.scores], f"{name}/scores") if grid.logits else grid.scores
            greatest = ending.greatest(scores, f"{name}/greatest")
            ending.node("Concat", [*sides, greatest, scores], name, axis=1)
            ending.output(name, [1, SIDES + 1 + self.classes, *_shape(self.size, stride)])
        return ending.finished()

    def apart(self, before: Outputs, after: Outputs) -> float:
        """How far the ends' boxes are from the source's."""
        wanted = self.source.seen(before, self.size)
        reader = YoloGrid(self.ends, self.subtype, self.classes, self.size, strides=self.strides)
        return apart(wanted, Seen(*reader.candidates(after), wanted.others))


def find(model: ModelProto, evidence: Evidence) -> Picodet | None:
    """The detector that the graph shows, else None."""
    size, ends = evidence.size, Ends(model)
    if size is None or any(len(output.shape) != len("1NC") or output.shape[0] != 1 for output in ends.outputs):
        return None
    return _separate(Graph(model), ends, size, evidence, model.producer_name) or _joined(
        Graph(model), ends, size, evidence
    )


def _separate(graph: Graph, ends: Ends, size: Size, evidence: Evidence, producer: str) -> Picodet | None:
    """Where each grid has two outputs: of as many rows as it has cells, one of bins and one of scores."""
    strides = STRIDES[: len(ends.outputs) // 2]
    found = [_pair(graph, ends.outputs, size, stride) for stride in strides]
    pairs = [pair for pair in found if pair is not None]
    if len(strides) < 3 or len(ends.outputs) != 2 * len(strides) or len(pairs) != len(strides):
        return None
    classes, wide = {pair[0].shape[2] for pair in pairs}, {pair[1].shape[2] for pair in pairs}
    if len(classes) != 1 or len(wide) != 1:
        return None
    scores, boxes = tuple(pair[0].name for pair in pairs), tuple(pair[1].name for pair in pairs)
    form = Separate(boxes, scores, strides, int(classes.pop() or 0))
    grids = tuple(Grid(_moved(graph, pair[1].name), *_scores(graph, pair[0].name)) for pair in pairs)
    sure = Sure.CERTAIN if producer.startswith(_PADDLE) else Sure.LIKELY
    return _of(form, grids, strides, int(wide.pop() or 0) // SIDES, evidence, sure_of(evidence, PICODET, sure))


def _pair(graph: Graph, outputs: Sequence[Output], size: Size, stride: int) -> tuple[Output, Output] | None:
    """A grid's scores, which a Sigmoid or a root ends, and its bins, which a convolution gives."""
    rows, columns = _shape(size, stride)
    found = [output for output in outputs if output.shape[1] == rows * columns and output.shape[2]]
    scores = [output for output in found if output.ends_in("Sigmoid", "Sqrt")]
    bins = [output for output in found if output.ends_in("Conv", "Split") and _bins(output.shape[2])]
    return (scores[0], bins[0]) if len(scores) == len(bins) == 1 else None


def _bins(columns: int | None) -> int:
    """How many bins a side has; 0 where it can be none."""
    bins, rest = divmod(columns or 0, SIDES)
    return bins if not rest and 1 < bins <= MOST_BINS else 0


def _joined(graph: Graph, ends: Ends, size: Size, evidence: Evidence) -> Picodet | None:
    """Where all boxes are decoded, and joined, and so are all scores, grid by grid."""
    rows = [output for output in ends.outputs if output.shape[2] == SIDES]
    if len(ends.outputs) != 2 or len(rows) != 1:
        return None
    (boxes,), (scores,) = rows, [output for output in ends.outputs if output is not rows[0]]
    parts = list(_parts(graph, scores.name))
    strides = STRIDES[: len(parts)]
    cells = sum(rows * columns for rows, columns in (_shape(size, stride) for stride in strides))
    distances, bins = graph.ends(boxes.name), graph.bins(boxes.name)
    wide = {graph.channels(name) for name in distances}
    if boxes.shape[1] != cells or scores.shape[2] != cells or len(parts) < 3 or len(distances) != len(parts):
        return None
    if wide != {SIDES * bins} or not _bins(SIDES * bins) or not scores.shape[1]:
        return None
    grids = tuple(Grid(end, *_scores(graph, part)) for end, part in zip(distances, parts, strict=True))
    return _of(Joined(boxes.name, scores.name, scores.shape[1]), grids, strides, bins, evidence, Sure.CERTAIN)


def _parts(graph: Graph, scores: str) -> Iterator[str]:
    """The scores of each grid, whose Sigmoid may come after they are joined or before: then it is not seen here."""
    for part in graph.parts(_moved(graph, scores)):
        made = graph.maker(_moved(graph, part), "Sigmoid", "Sqrt")
        if made is not None:
            yield part


def _of(
    source: Separate | Joined,
    grids: Sequence[Grid],
    strides: tuple[int, ...],
    bins: int,
    evidence: Evidence,
    sure: Sure,
) -> Picodet:
    names = tuple(f"output{place}_yolov6r2" for place in range(1, len(strides) + 1))
    return Picodet(source, names, strides, evidence, "yolov8", tuple(grids), bins, sure)


def _moved(graph: Graph, name: str) -> str:
    """The tensor whose numbers another holds in another shape or order."""
    for _ in range(FARTHEST):
        node = graph.maker(name, *_SHAPED)
        if node is None or not node.input:
            break
        name = node.input[0]
    return name


def _scores(graph: Graph, name: str) -> tuple[str, bool]:
    """The map of a grid's scores, and whether it is before their Sigmoid, which may be of what is shaped already."""
    last = _moved(graph, name)
    made = graph.maker(last, "Sigmoid")
    return (_moved(graph, made.input[0]), True) if made is not None else (last, False)
