"""Whether the vendor's parser gives the float model's keypoints, masks and angles, of the boxes that it finds.

Each box of the parser is held against the float model's candidate of the same class that lies most like it, and against
the file's own, which our decoder reads: so what a number format loses is told from what a head says wrongly.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oakmill.conversion.passport.metric import Real
from oakmill.findings import Finding, Severity
from oakmill.heads.boxes import Boxes, Floats, overlap
from oakmill.heads.values import Candidates

KEYPOINTS, MASKS, ANGLES = "keypoints", "masks", "angles"
SAME = 0.5
"""The overlap from which two boxes of a class are the same one."""
NEAR_BY = 0.1
"""How far a keypoint may be off, in parts of the longer side of its box: PCK at 0.1 (Yang and Ramanan 2013)."""
VISIBLE = 0.25
"""Keypoints that the float model takes for less visible count for nobody: from there on Ultralytics draws them."""
TURN = 5.0
"""Degrees by which an angle may be off: boxes of 4 to 1 then still overlap by 0.84; a quarter turn is 0.14."""
FEWEST_PIXELS = 64
"""Of a mask, by either: four cells of the prototypes; a smaller one is all edge."""
GOOD, CLEARLY = 0.95, 0.8
"""The shares of values that are right below which it is told, and below which, of what the file still holds, the head
is wrong: the passport's own bounds for boxes found again."""
IN_A_CELL = (
    "a box lies within one row or column of the cells of its masks, 4 pixels of most networks, and depthai 3.12 makes "
    "an image without pixels of that mask, which OpenCV refuses"
)
ROUNDING = 1e-3
"""Pixels by which a corner may have been rounded on its way through parts of the image."""
NOBODY = 255
"""In a mask of depthai, what is of no box; boxes from the 255th on share a number."""


@dataclass(frozen=True)
class ValuesAgreement:
    """Of one kind of values, `keypoints`, `masks` or `angles`: how many were compared, and are right by the parser;
    how many of the file's own numbers are, as our decoder reads them; and the mean difference, in parts of a box's
    longer side, overlap of masks, and degrees."""

    kind: str
    compared: int
    right: int
    held: int
    mean: Real

    @property
    def share(self) -> float:
        """Of what was compared, what is right."""
        return self.right / self.compared

    @property
    def words(self) -> str:
        """How they agree, for people."""
        of = f"{self.right} of {self.compared}"
        if self.kind == MASKS:
            return f"{of} masks overlap by half or more, mean {self.mean:.3f}"
        if self.kind == ANGLES:
            return f"{of} angles, which depthai's parser passes over, are right to {TURN:g} degrees in the file"
        return f"{of} keypoints lie within a tenth of their box, {self.mean:.4f} of it apart on average"


@dataclass(frozen=True)
class Told:
    """What a parser says of its boxes [n]: `keypoints` [n, K, 3], a `mask` [H, W] of whose pixels
    each has its box' number, or NOBODY; None of what it does not say."""

    keypoints: Floats | None = None
    mask: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, found: Sequence[Mapping[str, Any]], places: Sequence[int], mask: Mapping[str, Any] | None) -> Told:
        """From what `depthai.parser` wrote down of the detections at these places of its list, and of the mask."""
        points = [np.array(item.get("keypoints") or (), np.float64).reshape(-1, 3) for item in found]
        same = len({len(item) for item in points}) == 1 and len(points[0])
        return cls(np.stack(points) if same else None, _unpacked(mask, places) if mask else None)


def _unpacked(mask: Mapping[str, Any], places: Sequence[int]) -> NDArray[np.uint8]:
    """The mask, its numbers those of the boxes that are left.

    Raises:
        ValueError: it is none.
    """
    rows, columns = map(int, mask["size"])
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(mask["bytes"]), rows * columns)
    except zlib.error as error:
        raise ValueError(f"the parser's mask cannot be read: {error}") from None
    numbers = np.full(NOBODY + 1, NOBODY, np.uint8)
    for number, place in enumerate(places[: NOBODY - 1]):
        if place < NOBODY - 1:
            numbers[place] = number
    return numbers[np.frombuffer(data, np.uint8).reshape(rows, columns)]


NOTHING = Told()


@dataclass(frozen=True)
class Matched:
    """The parser's boxes of one image, `numbers` of which have a counterpart: `wanted` of the float model's candidates,
    `own` of the file's."""

    boxes: Boxes
    told: Told
    truth: Candidates
    file: Candidates
    numbers: NDArray[np.intp]
    wanted: NDArray[np.intp]
    own: NDArray[np.intp]

    @classmethod
    def of(cls, boxes: Boxes, told: Told, truth: Candidates, file: Candidates) -> Matched:
        """Each box with the candidates of its class that lie most like it."""
        wanted, own = _most_alike(boxes, truth.boxes), _most_alike(boxes, file.boxes)
        numbers = np.flatnonzero((wanted >= 0) & (own >= 0))
        return cls(boxes, told, truth, file, numbers, wanted[numbers], own[numbers])


def _most_alike(boxes: Boxes, candidates: Boxes) -> NDArray[np.intp]:
    """For each box the candidate of its class that overlaps it most; -1 where none is the same one."""
    inside = np.clip(candidates.corners, 0.0, 1.0)  # as the parser cuts boxes off
    found = np.full(len(boxes), -1, np.intp)
    for place in range(len(boxes)) if len(candidates) else ():
        over = overlap(boxes.corners[place : place + 1], inside)[0]
        over[candidates.labels != boxes.labels[place]] = 0.0
        if over.max() >= SAME:
            found[place] = over.argmax()
    return found


Pair = tuple[Floats, Floats]
"""One number for each value: how the parser's, and how the file's own, agrees with the float model's."""


def _keypoints(matched: Matched) -> Pair | None:
    """Distances in parts of the longer side of the box; of points beyond the image, where they are cut off."""
    right, kept = matched.truth.values.keypoints, matched.file.values.keypoints
    if right is None or kept is None or right.shape[1:] != kept.shape[1:]:
        return None
    wanted, said = right[matched.wanted], np.full(right[matched.wanted].shape, np.nan)
    if matched.told.keypoints is not None and matched.told.keypoints.shape[1:] == right.shape[1:]:
        said = matched.told.keypoints[matched.numbers]
    corners = matched.boxes.corners[matched.numbers]
    sides = (corners[:, 2:] - corners[:, :2]).max(axis=1, initial=0.0)[:, None]
    seen = wanted[..., 2] >= VISIBLE
    both = [(np.abs(_inside(points) - _inside(wanted)) ** 2).sum(axis=2) ** 0.5 for points in (said, kept[matched.own])]
    first, second = ((far / sides)[seen] for far in both)
    return np.nan_to_num(first, nan=1.0), second


def _inside(points: Floats) -> Floats:
    inside: Floats = np.clip(points[..., :2], 0.0, 1.0)
    return inside


def _angles(matched: Matched) -> Pair | None:
    """Degrees between the file's angles and the float model's, half a turn being none: depthai's parser tells none."""
    right, kept = matched.truth.values.angles, matched.file.values.angles
    if right is None or kept is None:
        return None
    off = np.degrees(right[matched.wanted] - kept[matched.own])
    far: Floats = np.abs((off + 90) % 180 - 90)
    return far, far


def _masks(matched: Matched) -> Pair | None:
    """Overlaps of masks, each of which lies beneath those of surer boxes."""
    protos = matched.truth.values.protos
    if protos is None or matched.file.values.protos is None:
        return None
    said = matched.told.mask
    size = (4 * protos.shape[1], 4 * protos.shape[2]) if said is None else said.shape
    right = painted(matched, matched.truth, matched.wanted, size)
    kept = painted(matched, matched.file, matched.own, size)
    said = np.full(size, NOBODY, np.uint8) if said is None else said
    table = [
        (_shared(said == number, right == number), _shared(kept == number, right == number))
        for number in matched.numbers[matched.numbers < NOBODY - 1]
        if max((right == number).sum(), (said == number).sum()) >= FEWEST_PIXELS
    ]
    return np.array([row[0] for row in table]), np.array([row[1] for row in table])


def _shared(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / max(1, (first | second).sum()))


def painted(
    matched: Matched, candidates: Candidates, rows: NDArray[np.intp], size: tuple[int, ...]
) -> NDArray[np.uint8]:
    """The mask [H, W] as depthai paints it: the surest box first, each within itself, where its sum is above 0, of the
    whole cells of the prototypes that it reaches, spread over it.

    Args:
        matched: the boxes, which are painted.
        candidates: whose coefficients and protos count.
        rows: the candidate of each of the `numbers`.
        size: height and width of the mask.
    """
    values, mask = candidates.values, np.full(size, NOBODY, np.uint8)
    assert values.protos is not None and values.coefficients is not None
    whole = np.array([size[1], size[0]])
    cell = np.maximum(1, whole // values.protos.shape[:0:-1])
    for number, row in zip(matched.numbers, rows, strict=True):
        corners = matched.boxes.corners[number].reshape(2, 2) * whole
        low = np.floor(corners[0] + ROUNDING).clip(0).astype(int)
        high = np.ceil(corners[1] - ROUNDING).clip(None, whole).astype(int)
        (left, top), (right, bottom) = low // cell, high // cell
        if number < NOBODY - 1 and right > left and bottom > top:
            part = values.protos[:, top:bottom, left:right]
            sums = np.tensordot(values.coefficients[row], part, 1).astype(np.float32)
            shown = Image.fromarray(sums).resize((high[0] - low[0], high[1] - low[1]), Image.Resampling.BILINEAR)
            inside = mask[low[1] : high[1], low[0] : high[0]]
            inside[(np.asarray(shown) > 0) & (inside == NOBODY)] = number
    return mask


def within_a_cell(candidates: Candidates, threshold: float, size: tuple[int, int]) -> bool:
    """Whether a box lies within one row or column of the prototypes' cells: depthai 3.12 cuts its mask out of them,
    which has no pixels then, and OpenCV ends the process that resizes it.

    Args:
        candidates: the file's, as our own decoder reads them.
        threshold: the score from which the parser counts a box.
        size: height and width of the image, in pixels.
    """
    protos = candidates.values.protos
    if protos is None:
        return False
    corners = candidates.boxes.corners[candidates.boxes.scores >= threshold].clip(0, 1) * np.tile(size[::-1], 2)
    cell = np.maximum(1, [size[1] // protos.shape[2], size[0] // protos.shape[1]])
    first, last = np.floor(corners[:, :2]) // cell, np.ceil(corners[:, 2:]) // cell
    there = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    return bool(((first == last).any(axis=1) & there).any())


@dataclass(frozen=True)
class Kind:
    """How one kind of values is compared, and from which number on, or up to which, one is right."""

    compare: Callable[[Matched], Pair | None]
    right: Callable[[Floats], NDArray[np.bool_]]


KINDS: Mapping[str, Kind] = {
    KEYPOINTS: Kind(_keypoints, lambda far: far <= NEAR_BY),
    MASKS: Kind(_masks, lambda over: over >= SAME),
    ANGLES: Kind(_angles, lambda far: far <= TURN),
}


@dataclass
class ValuesFound:
    """Adds up, image by image, how values agree."""

    _pairs: dict[str, list[Pair]] = field(default_factory=dict)

    def add(self, boxes: Boxes, told: Told, truth: Candidates, file: Candidates) -> None:
        """Add one image: the parser's boxes and what it tells of them; what the float model and the file say."""
        matched = Matched.of(boxes, told, truth, file)
        for name, kind in KINDS.items() if len(matched.numbers) else ():
            if (pair := kind.compare(matched)) is not None and pair[0].size:
                self._pairs.setdefault(name, []).append(pair)

    def agreement(self) -> tuple[ValuesAgreement, ...]:
        """A row for each kind that there was something of."""
        return tuple(_row(name, pairs) for name, pairs in self._pairs.items())


def _row(name: str, pairs: Sequence[Pair]) -> ValuesAgreement:
    said, kept = (np.concatenate([pair[place] for pair in pairs]) for place in (0, 1))
    right = KINDS[name].right
    return ValuesAgreement(name, said.size, int(right(said).sum()), int(right(kept).sum()), float(said.mean()))


def findings(rows: Sequence[ValuesAgreement], parser: str, outputs: Sequence[str]) -> Iterator[Finding]:
    """What is told of values that are apart: an error where the file itself still holds them."""
    for row in rows:
        if row.share >= GOOD:
            continue
        wrong = row.share < CLEARLY * row.held / row.compared
        lost = f"; the file's own numbers, as they should be read, hold {row.held}"
        yield Finding(
            "parser_values",
            Severity.ERROR if wrong else Severity.WARNING,
            f"{row.words}{'' if row.kind == ANGLES else lost}",
            title=f"The vendor's parser gives other {row.kind}" if wrong else f"The file's {row.kind} are apart",
            remedy="look at the head of the source's archive: order of outputs, number of keypoints or prototypes"
            if wrong
            else "what the number format loses: FP16, or INT8 with more images, keeps more",
            subject=", ".join(outputs),
            evidence={"parser": parser, "compared": row.compared, "right": row.right, "held": row.held},
        )
