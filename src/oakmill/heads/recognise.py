"""Recognises what outputs are: as the NN Archive's heads declare them, else where shapes leave no doubt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from oakmill.heads import decoders
from oakmill.heads.decoders import Decoder, Found, Pair, Rows, Size, YoloGrid, cells_of
from oakmill.heads.yunet import YuNet

CONFIDENCE = 0.25
"""The score from which a box counts where no archive says so: the default of the YOLO families' own programs."""
SUPPRESSION = 0.5
LONGEST_TEXT = 512
MOST_PLANES = 256
"""Classes of pixels that are looked for at most: a map of more numbers is one of features."""
FEWEST_ROWS = 100
"""Boxes that a detector gives at least before any suppression."""


@dataclass(frozen=True)
class Detections:
    """Outputs that one decoder turns into boxes; those below a score, or that overlap by so much, do not count.

    `head` is the one that declares them, where one does, and `size` the height and width of the input.
    """

    decoder: Decoder
    names: tuple[str, ...] = ()
    confidence: float = CONFIDENCE
    iou: float = SUPPRESSION
    guessed: bool = True
    head: Head = field(default_factory=dict)
    size: Size | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Those that the decoder reads."""
        return self.decoder.outputs


@dataclass(frozen=True)
class OneOutput:
    """What is one output alone, with its classes' names; `guessed`: by its shape, for no archive declares it."""

    output: str
    names: tuple[str, ...] = ()
    guessed: bool = True

    @property
    def outputs(self) -> tuple[str, ...]:
        """The one output."""
        return (self.output,)


@dataclass(frozen=True)
class Scores(OneOutput):
    """A vector of classes' scores; `is_softmax`: whether they are probabilities, where an archive says so."""

    is_softmax: bool | None = None


@dataclass(frozen=True)
class Steps(OneOutput):
    """Scores of classes at each step of a sequence; `blank` is the class of CTC that stands for nothing."""

    blank: int | None = None


@dataclass(frozen=True)
class Masks(OneOutput):
    """Scores of classes, or their numbers, at each pixel; `axis` is that of the classes in four dimensions, 1 or 3."""

    axis: int = 1


@dataclass(frozen=True)
class ScoredPlaces(OneOutput):
    """Scores of many places whose boxes nobody declared."""


Recognised = Detections | Scores | Steps | Masks | ScoredPlaces


class TensorLike(Protocol):
    """An output's name and shape; an open dimension is no int."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def shape(self) -> tuple[Any, ...]:
        """Its shape, in the source model's layout."""


Shapes = Mapping[str, tuple[Any, ...]]
Head = Mapping[str, Any]


def recognise(
    outputs: Iterable[TensorLike], heads: Sequence[Head] | None = None, size: Size | None = None
) -> tuple[Recognised, ...]:
    """What the outputs of a model are.

    Args:
        outputs: the model's.
        heads: `model.heads` of the NN Archive's config, as luxonis_ml's schema 1.0 has them.
        size: height and width of the input image, in pixels; detectors need it.

    Outputs that no head declares are taken for something where shapes alone leave no doubt, and are `guessed`.
    """
    shapes = {output.name: tuple(output.shape) for output in outputs}
    pairs = [(head, found) for head in heads or () if (found := _declared(head, shapes, size))]
    declared = [found for _, found in pairs]
    covered = {name for head, found in pairs for name in (*found.outputs, *(head.get("outputs") or ()))}
    open_ones = {name: shape for name, shape in shapes.items() if name not in covered}
    return (*declared, *_guessed(open_ones, size, alone=not declared))


def _declared(head: Head, shapes: Shapes, size: Size | None) -> Recognised | None:
    """What one head is; none where its parser or its outputs are not known."""
    metadata = head.get("metadata") or {}
    names = tuple(str(name) for name in metadata.get("classes") or ())
    parser = str(head.get("parser", "")).lower().removesuffix("parser")
    given = [name for name in head.get("outputs") or shapes if name in shapes]
    if parser in ("yolo", "yoloextended", "ssd", "mobilenet", "yunet"):
        decoder = _decoder(parser, metadata, given, shapes, size)
        return _detections(decoder, names, head, size) if decoder else None
    if not given:
        return None
    if parser == "classification" and _is_vector(shapes[given[0]]):
        return Scores(given[0], names, guessed=False, is_softmax=metadata.get("is_softmax"))
    if parser == "classificationsequence" and len(shapes[given[0]]) == 3:
        ignored: Sequence[int] = metadata.get("ignored_indexes") or ()
        return Steps(given[0], names, guessed=False, blank=ignored[0] if len(ignored) == 1 else None)
    if parser == "segmentation" and len(shapes[given[0]]) in (3, 4):
        counts = (int(metadata.get("n_classes") or 0), len(names))
        return Masks(given[0], names, guessed=False, axis=axis_of_classes(shapes[given[0]], size, counts))
    return None


def axis_of_classes(shape: tuple[Any, ...], size: Size | None, counts: Sequence[int] = ()) -> int:
    """The axis of a map's classes, 1 or 3: as long as one of the `counts` of classes, or by one longer for what is none
    of them; else the one beside rows and columns like the image's; else the shorter one."""
    if len(shape) != 4 or not all(isinstance(item, int) for item in shape):
        return 1
    for known in (*(count for count in counts if count), *(count + 1 for count in counts if count)):
        if (shape[1] == known) != (shape[3] == known):
            return 1 if shape[1] == known else 3
    first, last = _looks_like(shape[2:], size), _looks_like(shape[1:3], size)
    if first != last:
        return 1 if first else 3
    return 1 if shape[1] <= shape[3] else 3


def _looks_like(sides: tuple[Any, ...], size: Size | None) -> bool:
    return size is not None and sides[0] * size[1] == sides[1] * size[0]


def _detections(decoder: Decoder, names: tuple[str, ...], head: Head, size: Size | None) -> Detections:
    metadata = head.get("metadata") or {}
    confidence, iou = metadata.get("conf_threshold"), metadata.get("iou_threshold")
    return Detections(
        decoder,
        names,
        CONFIDENCE if confidence is None else float(confidence),
        SUPPRESSION if iou is None else float(iou),
        guessed=False,
        head=head,
        size=size,
    )


def _decoder(
    parser: str, metadata: Mapping[str, Any], given: Sequence[str], shapes: Shapes, size: Size | None
) -> Decoder | None:
    if parser in ("ssd", "mobilenet"):
        boxes, scores = str(metadata.get("boxes_outputs")), str(metadata.get("scores_outputs"))
        if boxes in shapes and scores in shapes:
            return Pair(boxes, scores, size, shapes[scores][-1] != metadata.get("n_classes"))
        found = [name for name in given if shapes[name][-1] == 7]
        return Found(found[0]) if found else None
    if size is None:
        return None
    if parser == "yunet":
        return YuNet.of(given, size)
    names = tuple(name for name in metadata.get("yolo_outputs") or given if name in shapes)
    classes = int(metadata.get("n_classes") or len(metadata.get("classes") or ()))
    anchors = tuple(metadata.get("anchors") or ())
    subtype = str(metadata.get("subtype") or "yolov8").lower()
    if len(names) == 1 and len(shapes[names[0]]) == 3:
        others = 3 * int(metadata.get("n_keypoints") or 0) + int(metadata.get("n_prototypes") or 0)
        return _rows(names[0], shapes[names[0]], classes, size, others) or _rows(
            names[0], shapes[names[0]], classes, size
        )
    grid, strides = _grid(names, subtype, classes, size, anchors, shapes), metadata.get("strides") or ()
    return replace(grid, strides=tuple(strides)) if grid and len(strides) == len(names) else grid


def _grid(
    names: tuple[str, ...], subtype: str, classes: int, size: Size, anchors: tuple[Any, ...], shapes: Shapes
) -> YoloGrid | None:
    """Heads on grids, where the shapes bear it out; a subtype that nobody knows is read as the camera reads it."""
    known = decoders.TLBR | decoders.V5 | decoders.V3 | decoders.R1
    with_anchors = subtype in decoders.V5 | decoders.V3
    if subtype not in known or (with_anchors and not anchors):
        subtype, with_anchors = "yolov8", False
    anchors = anchors if with_anchors else ()
    if not names or not classes or (anchors and len(anchors) != len(names)):
        return None
    for place, name in enumerate(names):
        wanted = (5 + classes) * (len(anchors[place]) if anchors else 1)
        if len(shapes[name]) != 4 or shapes[name][1] != wanted:
            return None
    return YoloGrid(names, subtype, classes, size, anchors)


def _rows(name: str, shape: tuple[Any, ...], classes: int, size: Size, others: int = 0) -> Rows | None:
    """One output of rows, with or without an objectness by the number of its columns; `others` stand behind."""
    for columns, transposed in ((shape[2], False), (shape[1], True)):
        if columns - others in (4 + classes, 5 + classes):
            objectness = columns - others == 5 + classes
            return Rows(name, size, objectness, transposed, classes=classes if others else None)
    return None


def _guessed(shapes: Shapes, size: Size | None, *, alone: bool) -> list[Recognised]:
    """By shapes; `alone` says that no head declared any, so that these are all the outputs of the model."""
    fixed = {name: shape for name, shape in shapes.items() if all(isinstance(item, int) for item in shape)}
    if alone and len(fixed) == len(shapes) and (decoder := _guessed_decoder(fixed, size)):
        return [Detections(decoder)]
    found: list[Recognised] = []
    for name, shape in fixed.items():
        if _is_vector(shape):
            found.append(Scores(name))
        elif _is_steps(shape):
            found.append(Steps(name))
        elif len(shape) == 3 and shape[0] == 1 and shape[1] > LONGEST_TEXT and shape[2] != 4:
            found.append(ScoredPlaces(name))
        elif alone and size and _is_map(shape, size):
            found.append(Masks(name, axis=axis_of_classes(shape, size)))
    return found if sum(isinstance(item, Steps) for item in found) <= 1 else []


def _is_map(shape: tuple[Any, ...], size: Size) -> bool:
    """Few numbers for each pixel of an image at a quarter of its size or more, either axis: maybe masks."""
    if len(shape) != 4 or shape[0] != 1:
        return False
    layouts = ((shape[1], *shape[2:]), (shape[3], *shape[1:3]))
    return any(
        planes <= MOST_PLANES and rows * size[1] == columns * size[0] and 4 * rows >= size[0]
        for planes, rows, columns in layouts
    )


def _is_steps(shape: tuple[Any, ...]) -> bool:
    """Scores of more classes than there are steps: [1, T, K], or time first, [T, 1, K]."""
    if len(shape) != 3 or min(shape[:2]) != 1:
        return False
    return bool(LONGEST_TEXT >= max(shape[:2]) > 1 and shape[2] > max(shape[:2]))


def _guessed_decoder(shapes: Shapes, size: Size | None) -> Decoder | None:
    """Where the model has one output of a row for each cell of its grids, or one of boxes and one of scores."""
    items = list(shapes.items())
    if len(items) == 1 and size and len(items[0][1]) == 3 and items[0][1][0] == 1:
        return _guessed_rows(items[0][0], items[0][1], size)
    if len(items) == 2 and all(len(shape) == 3 and shape[0] == 1 for _, shape in items):
        (first, a), (second, b) = sorted(items, key=lambda item: item[1][2] != 4)
        if a[2] == 4 and b[2] != 4 and a[1] == b[1] >= FEWEST_ROWS:
            return Pair(first, second, size)
        (first, a), (second, b) = sorted(items, key=lambda item: item[1][1] != 4)
        if a[1] == 4 and b[1] < b[2] and a[2] == b[2] >= FEWEST_ROWS:
            return Pair(first, second, size, transposed=True)
    if len(items) == 2 and size:
        (first, a), (_, b) = sorted(items, key=lambda item: len(item[1]))
        if len(a) == 3 and len(b) == 4 and a[0] == b[0] == 1 and a[2] == cells_of(size) and a[1] - b[1] > 4:
            return Rows(first, size, objectness=False, transposed=True, classes=a[1] - b[1] - 4)
    return None


def _guessed_rows(name: str, shape: tuple[Any, ...], size: Size) -> Rows | None:
    cells = cells_of(size)
    if shape[1] in (cells, 3 * cells) and shape[2] >= 6:
        return Rows(name, size, objectness=True)
    if shape[2] == cells and shape[1] >= 5:
        return Rows(name, size, objectness=False, transposed=True)
    return None


def _is_vector(shape: tuple[Any, ...]) -> bool:
    """Scores of one image: [1, K], [1, K, 1, 1], [K]; the batch may be open."""
    inner = [size for size in shape if size != 1]
    if len(inner) != 1 or not isinstance(inner[0], int) or len(shape) not in (1, 2, 4):
        return False
    return inner[0] >= 2 and (len(shape) == 1 or shape[0] == 1)
