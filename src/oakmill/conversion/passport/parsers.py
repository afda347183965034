"""What the vendor's own parser finds in the finished file's outputs, against the boxes of the float model.

The parser is depthai's, built from the finished archive's head alone; the float model is decoded as its makers decode
it. So a head that says something wrong, and a file that gives something wrong, both show before there is a camera.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport import parser_values
from oakmill.conversion.passport.metric import Real
from oakmill.conversion.passport.parser_values import Told, ValuesAgreement, ValuesFound
from oakmill.conversion.passport.tasks import Seen, ShownImage, Sighting, WorstImages, label, share
from oakmill.findings import Finding, Severity
from oakmill.heads.boxes import Boxes, Floats, overlap, suppress
from oakmill.heads.values import Candidates

MATCHED = 0.5
"""The overlap from which two boxes are the same one, as in AP50."""
NEAR = 0.02
"""Scores so near to the threshold may fall on either side of it: RVC4's processor looks functions up, right to 0.004,
and FP16 rounds. A box counts for the float model from so much above, and against the parser from so much below."""
ENOUGH, MANY = 16, 64
"""With fewer boxes of the float model a lower threshold is taken, one that gives so many."""
LOWEST = 0.05
"""The lowest threshold: below, what a number format rounds is as large as the score."""
FOUND = 0.8
"""The share of the float model's boxes below which a parser sees clearly less, of what the file itself still holds: the
passport's own bound for boxes found again."""
CHANCE = 2
"""Boxes that must be missing at least."""
SHOWN = 40


@dataclass(frozen=True)
class ParserAgreement:
    """What one head's parser finds, by the float model: a row of the passport.

    `parser` is the head's, `node` the vendor's program that ran; empty where it has none on a computer. On `images` the
    float model sees `boxes` from `threshold` on (or as many classes or texts), of which the parser has `found`, with
    `mean_iou` of overlap; it gives `answers` in all, `extra` of them where the float model has nothing. `named` is the
    share of those found that have the right class name, NaN where no names are known. `beside` counts the boxes that
    lie on a surer one of another class, of which depthai's parser keeps one. `values` are what its boxes have besides.
    `note` says why there are no numbers, or what is special about them.
    """

    head: int
    parser: str
    node: str = ""
    kind: str = ""
    outputs: tuple[str, ...] = ()
    images: int = 0
    threshold: Real = math.nan
    boxes: int = 0
    found: int = 0
    answers: int = 0
    extra: int = 0
    mean_iou: Real = math.nan
    named: Real = math.nan
    beside: int = 0
    note: str = ""
    worst: tuple[ShownImage, ...] = ()
    values: tuple[ValuesAgreement, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether there was anything to find."""
        return self.boxes > 0

    @property
    def share(self) -> float:
        """Of the float model's boxes, or classes, those found."""
        return share(self.found, self.boxes)

    @property
    def words(self) -> str:
        """What it found, a sentence for people."""
        if not self.measured:
            return f"{self.node or self.parser}: {self.note}"
        of = {"classification": "classes", "text": "texts"}.get(self.kind, "boxes")
        said = f"the vendor's parser finds {self.found} of the float model's {self.boxes} {of} on {self.images} images"
        if not math.isnan(self.mean_iou):
            said += f", mean overlap {self.mean_iou:.3f}"
        if not math.isnan(self.named):
            said += ", class names right" if self.named == 1 else f", {self.named:.0%} of class names right"
        if self.beside:
            said += f" ({self.beside} more lie on a box of another class, of which depthai keeps the surer one)"
        said = "; ".join([said, *(row.words for row in self.values)])
        return f"{said}; {self.note}" if self.note else said


@dataclass(frozen=True)
class Answer:
    """What a parser said of one image: boxes, the class name of each, and what it tells of them besides."""

    boxes: Boxes
    names: tuple[str, ...]
    told: Told = parser_values.NOTHING

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Answer:
        """From what `depthai.parser` wrote down; what is not finite is left out."""
        said = [*plain.get("detections", ())]
        places = [place for place, item in enumerate(said) if np.isfinite([*item["corners"], item["score"]]).all()]
        found = [said[place] for place in places]
        corners = np.array([item["corners"] for item in found], np.float64).reshape(-1, 4)
        scores = np.array([item["score"] for item in found], np.float64)
        labels = np.array([item["label"] for item in found], np.int64)
        names = tuple(item["name"] for item in found)
        return cls(Boxes(corners, scores, labels), names, Told.of(found, places, plain.get("mask")))


def threshold_for(images: Sequence[Boxes], own: float, iou: float) -> float:
    """The head's own threshold; a lower one where the float model sees next to nothing from there on.

    Args:
        images: each image's candidates.
        own: the head's.
        iou: from which of two boxes the lower one is left out.
    """
    kept = [suppress(_inside(boxes[boxes.scores >= LOWEST]), iou, by_class=False).scores for boxes in images]
    scores = np.sort(np.concatenate([np.zeros(0), *kept]))[::-1]
    if len(scores) == 0 or (scores >= own + NEAR).sum() >= ENOUGH:
        return own
    return float(min(own, max(LOWEST, scores[min(MANY, len(scores)) - 1] - NEAR)))


@dataclass
class BoxesFound:
    """Adds up, image by image, which of the float model's boxes a parser finds."""

    names: tuple[str, ...]
    threshold: float
    iou: float
    boxes: int = 0
    found: int = 0
    answers: int = 0
    extra: int = 0
    named: int = 0
    beside: int = 0
    overlaps: float = 0.0
    worst: WorstImages = field(default_factory=lambda: WorstImages(2))
    values: ValuesFound = field(default_factory=ValuesFound)

    def add(self, image: str, truth: Candidates, answer: Answer, file: Candidates | None = None) -> None:
        """Add one image: all candidates of the float model, what the parser says, and all candidates of the file.

        A box is found where one of the parser's of its class lies on it: of two that overlap and are as sure, either
        may leave the other out.
        """
        if file is not None:
            self.values.add(answer.boxes, answer.told, truth, file)
        candidates, said = _inside(truth.boxes), answer.boxes
        # as depthai does: of two in one place it keeps one, whatever their classes
        possible = candidates[candidates.scores >= self.threshold]
        kept = suppress(possible, self.iou, by_class=False)
        sure = kept[(kept.scores >= self.threshold + NEAR) & _decided(kept, possible, self.iou)]
        self.beside += len(suppress(possible, self.iou)) - len(kept)
        over = _overlap_of_class(sure, said)
        best, found = over.argmax(axis=1) if len(said) else np.zeros(len(sure), int), over.max(axis=1, initial=0.0)
        here = np.flatnonzero(found >= MATCHED)
        reasons = _overlap_of_class(said, candidates[candidates.scores >= self.threshold - NEAR])
        explained = np.flatnonzero(reasons.max(axis=1, initial=0.0) >= MATCHED)
        self.boxes += len(sure)
        self.found += len(here)
        self.answers += len(said)
        self.extra += len(said) - len(explained)
        self.overlaps += float(found[here].sum())
        self.named += sum(answer.names[best[index]] == label(self.names, int(sure.labels[index])) for index in here)
        agreement = share(len(here) + len(explained), len(sure) + len(said)) if len(sure) + len(said) else 1.0
        seen = _sighting(sure, here, [label(self.names, index) for index in sure.labels])
        self.worst.add(ShownImage(image, agreement, seen, _sighting(said, explained, answer.names)), len(sure))

    def agreement(self, **known: Any) -> ParserAgreement:
        """The row; `known` is what is known of head and parser."""
        return ParserAgreement(
            threshold=self.threshold,
            boxes=self.boxes,
            found=self.found,
            answers=self.answers,
            extra=self.extra,
            mean_iou=share(self.overlaps, self.found),
            named=share(self.named, self.found) if self.names else math.nan,
            beside=max(self.beside, 0),
            worst=self.worst.sorted(),
            values=self.values.agreement(),
            **known,
        )


def _inside(boxes: Boxes) -> Boxes:
    """What of the boxes lies in the image: depthai's parsers cut boxes off at its edge, and then leave doubles out."""
    inside = Boxes(np.clip(boxes.corners, 0.0, 1.0), boxes.scores, boxes.labels)
    return inside[(inside.corners[:, 2:] > inside.corners[:, :2]).all(axis=1)]


def _decided(kept: Boxes, candidates: Boxes, iou: float) -> NDArray[np.bool_]:
    """Which boxes stay whatever the rounding: not those that a surer one nearly left out, or one of another class that
    is as sure."""
    surer = kept.scores[None] > kept.scores[:, None]
    nearly = (surer & (overlap(kept.corners, kept.corners) > iou - NEAR)).any(axis=1)
    as_sure = np.abs(candidates.scores[None] - kept.scores[:, None]) < NEAR
    other = candidates.labels[None] != kept.labels[:, None]
    rivals = as_sure & other & (overlap(kept.corners, candidates.corners) > iou - NEAR)
    decided: NDArray[np.bool_] = ~(nearly | rivals.any(axis=1))
    return decided


def _overlap_of_class(first: Boxes, second: Boxes) -> Floats:
    """The overlap of each box of one with each of the other [n, m], 0 of other classes."""
    over = overlap(first.corners, second.corners)
    over[first.labels[:, None] != second.labels[None]] = 0.0
    return over


def _sighting(boxes: Boxes, matched: NDArray[np.intp], names: Sequence[str]) -> Sighting:
    """What one of the two sees, to be drawn; `names` are those of the boxes."""
    paired = set(matched.tolist())
    return Sighting(
        tuple(
            Seen(
                names[index],
                float(boxes.scores[index]),
                tuple(float(value) for value in boxes.corners[index]),  # type: ignore[arg-type]
                index in paired,
            )
            for index in range(min(len(boxes), SHOWN))
        )
    )


def findings(row: ParserAgreement, expected: float = 1.0) -> tuple[Finding, ...]:
    """What a row shows.

    `expected` is the share of the float model's boxes that the file's own numbers still hold, decoded by us: what a
    quantization loses is no fault of the head.
    """
    if not row.measured:
        return ()
    found = []
    evidence = {"head": row.head, "parser": row.parser, "boxes": row.boxes, "found": row.found, "extra": row.extra}
    if row.share < FOUND * min(expected, 1.0) and row.boxes - row.found >= CHANCE:
        found.append(_wrong("parser_misses", row, f"{row.words}", "The vendor's parser misses what is there", evidence))
    elif row.extra > max(CHANCE, (1 - FOUND) * row.answers):
        words = f"of {row.answers} answers of {row.node}, {row.extra} are nothing that the float model sees"
        found.append(_wrong("parser_invents", row, words, "The vendor's parser sees what is not there", evidence))
    if row.named < 1:
        words = f"{row.node} calls {1 - row.named:.0%} of what it finds by another class's name"
        found.append(_wrong("parser_names", row, words, "Class names are wrong", evidence))
    return (*found, *parser_values.findings(row.values, row.parser, row.outputs))


def _wrong(code: str, row: ParserAgreement, words: str, title: str, evidence: Mapping[str, Any]) -> Finding:
    return Finding(
        code,
        Severity.ERROR,
        words,
        title=title,
        remedy="look at the head of the source's archive: order of outputs, anchors, strides, subtype, classes; where "
        "Oakmill wrote the head, --keep-outputs leaves the source as it is",
        subject=", ".join(row.outputs),
        evidence=evidence,
    )


def failed(parser: str, words: str, *, hangs: bool = False, images: Sequence[str] = ()) -> Finding:
    """A parser that ended its process, or gave no answer; of some `images`, where it reads the others."""
    what = "gives no answer" if hangs else "ends with an error"
    of = f" of {', '.join(images)}" if images else ""
    return Finding(
        "parser_hangs" if hangs else "parser_crashes",
        Severity.NOTE if hangs else Severity.ERROR,  # it does so on what it reads well when it is asked again
        f"depthai's parser of the archive's heads ({parser}) {what} on the converted model's outputs{of}: {words}",
        title="The vendor's parser fails",
        remedy="convert again, which asks it again"
        if hangs
        else "an app would fail likewise: look at the head of the source's archive, or read the outputs yourself",
        subject=parser,
    )


def not_tried(parser: str, words: str) -> Finding:
    """A parser that was never asked, for a reason that is not its own."""
    return Finding(
        "parser_not_tried",
        Severity.NOTE,
        f"what {parser} reads in the converted file's outputs is not proved, as it was not tried: {words}",
        title="The vendor's parser was not tried",
        subject=parser,
    )


def not_here(parser: str) -> Finding:
    """A head whose parser does not run on a computer."""
    return Finding(
        "parser_not_here",
        Severity.NOTE,
        f"what {parser} reads in the converted file's outputs is not proved: depthai has no such parser on a computer",
        title="The vendor's parser was not tried",
        subject=parser,
    )
