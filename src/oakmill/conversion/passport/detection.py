"""The agreement of detectors: the float model's boxes found again, at the same place, with the same score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.metric import Metric
from oakmill.conversion.passport.tasks import (
    BESIDE,
    DECLARED,
    ENOUGH,
    Gallery,
    Seen,
    Sighting,
    TaskAgreement,
    by_key,
    classes_seen,
    confusions_of,
    label,
    share,
)
from oakmill.heads import values
from oakmill.heads.boxes import Boxes, Floats, Matches, match, suppress, surviving
from oakmill.heads.decoders import Decoder, Size, unreadable
from oakmill.heads.recognise import CONFIDENCE, SUPPRESSION

MATCHED = 0.5
"""The overlap from which two boxes are the same one, as in AP50."""
SHOWN = 40
LARGE = 4
"""Boxes that say how well an image shows what the model does."""


@dataclass
class Detector:
    """The outputs that one decoder reads, and what `head`, which declares them, names beside them for keypoints."""

    decoder: Decoder
    names: tuple[str, ...] = ()
    confidence: float = CONFIDENCE
    iou: float = SUPPRESSION
    guessed: bool = True
    head: Mapping[str, Any] = field(default_factory=dict)
    size: Size | None = None
    _settled: bool = False
    _unfit: str = ""
    _reference: Counter[int] = field(default_factory=Counter)
    _candidate: Counter[int] = field(default_factory=Counter)
    _both: Counter[int] = field(default_factory=Counter)
    _overlap: float = 0.0
    _shift: float = 0.0
    _sides: float = 0.0
    _by_image: list[float] = field(default_factory=list)
    _gallery: Gallery = field(default_factory=Gallery)
    _confused: Counter[tuple[int, int]] = field(default_factory=Counter)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs that hold boxes and scores."""
        return self.decoder.outputs

    def add(self, image: str, reference: Outputs, candidate: Outputs) -> None:
        """Add one image's outputs."""
        first = self.boxes(reference)
        second = self.boxes(candidate)
        pairs = match(first, second, MATCHED)
        self._reference.update(first.labels.tolist())
        self._candidate.update(second.labels.tolist())
        self._both.update(first.labels[pairs.reference].tolist())
        self._confused.update(_named_otherwise(first, second, pairs))
        self._overlap += float(pairs.iou.sum())
        self._sides += float((first.corners[:, 2:] - first.corners[:, :2]).min(axis=1, initial=np.inf).sum())
        self._shift += float(np.abs(first.scores[pairs.reference] - second.scores[pairs.candidate]).sum())
        total = len(first) + len(second)
        self._keep(image, first, second, pairs, 2 * len(pairs.iou) / total if total else 1.0)

    def boxes(self, outputs: Outputs, lowest: float | None = None, most: int = 300) -> Boxes:
        """The boxes that an application would get, or all from another score on."""
        return self._kept(outputs, lowest, most)[0]

    def _kept(self, outputs: Outputs, lowest: float | None, most: int) -> tuple[Boxes, NDArray[np.int64]]:
        """These boxes, and their places among all that the decoder reads."""
        self._settle(outputs)
        found = self.decoder.decode(outputs)
        usable = np.isfinite(found.corners).all(axis=1)
        usable &= found.scores >= (self.confidence if lowest is None else lowest)
        places = np.flatnonzero(usable)[surviving(found[usable], self.iou, most)]
        return found[places], places

    @property
    def has_keypoints(self) -> bool:
        """Whether its head names outputs of keypoints."""
        return bool(self.size and (self.head.get("metadata") or {}).get("keypoints_outputs"))

    def with_keypoints(self, outputs: Outputs, lowest: float, most: int) -> tuple[Boxes, Floats | None]:
        """All boxes from a score on, and the keypoints [n, K, 3] of each in parts of the input; None of other forms."""
        boxes, places = self._kept(outputs, lowest, most)
        said = values.of_head(self.head, outputs, self.size).keypoints if self.size else None
        fits = said is not None and len(said) > int(places.max(initial=-1))
        return boxes, said[places] if said is not None and fits else None

    def _settle(self, outputs: Outputs) -> None:
        """On the first image: how the decoder is to read, and whether what it reads can be scores."""
        if self._settled:
            return
        self._settled = True
        self.decoder = self.decoder.settled(outputs)
        self._unfit = unreadable(self.decoder, outputs)

    def _keep(self, image: str, first: Boxes, second: Boxes, pairs: Matches, agreement: float) -> None:
        self._by_image.append(agreement)
        self._gallery.add(
            image, agreement, _worth(first[pairs.reference]),
            lambda: (self._sighting(first, pairs.reference), self._sighting(second, pairs.candidate)),
            weight=len(first) + len(second) - 2 * len(pairs.iou),
        )  # fmt: skip

    def _sighting(self, boxes: Boxes, matched: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Sighting:
        paired = set(matched.tolist())
        return Sighting(
            tuple(
                Seen(
                    label(self.names, int(boxes.labels[index])),
                    float(boxes.scores[index]),
                    tuple(float(value) for value in boxes.corners[index]),  # type: ignore[arg-type]
                    index in paired,
                )
                for index in range(min(len(boxes), SHOWN))
            )
        )

    def certainty(self, outputs: Outputs) -> float:
        """The mean of the three highest scores of separate boxes, however low."""
        self._settle(outputs)
        found = self.decoder.decode(outputs)
        found = found[np.isfinite(found.corners).all(axis=1) & np.isfinite(found.scores)]
        best = suppress(found, self.iou, most=3).scores
        return float(best.mean()) if best.size else 0.0

    def sees(self, outputs: Outputs) -> Sighting:
        """The boxes that an application would get of one image."""
        return self._sighting(self.boxes(outputs), np.zeros(0, np.int64))

    def agreement(self) -> TaskAgreement:
        """What was found so far."""
        origin = "guessed from the shapes" if self.guessed else DECLARED
        note = f"{self.decoder.words}; {origin}; score from {self.confidence:g}, overlap from {MATCHED:g}"
        if few := 0 < self._reference.total() < ENOUGH:
            note = f"{note}; fewer than {ENOUGH} boxes{BESIDE}"
        return TaskAgreement(
            "Detection",
            "detection",
            self.outputs,
            self._metrics(),
            len(self._by_image),
            f"{note}; not readable so: {self._unfit}" if self._unfit else note,
            () if self._unfit else self._gallery.worst.sorted(),
            () if self._unfit else classes_seen(self.names, self._reference, self._candidate, self._both),
            () if self._unfit else tuple(self._by_image),
            self.guessed,
            decides=not (self.guessed and self._unfit),
            evident=not self._unfit,
            few=few,
            unreadable=self._unfit,
            best=() if self._unfit else self._gallery.best.sorted(),
            confusions=() if self._unfit else confusions_of(self._confused),
        )

    def _metrics(self) -> dict[str, Metric]:
        first, second, both = self._reference.total(), self._candidate.total(), self._both.total()
        if (not first and not second) or self._unfit:
            return by_key(Metric("f1", "box agreement (F1)", float("nan")))
        return by_key(
            # Boxes with scores near the threshold come and go with the smallest change: models of full accuracy
            # (AP50 within 1 point) show 0.90 to 0.97, one that lost two thirds of its AP50 shows 0.4.
            Metric("f1", "box agreement (F1)", share(2 * both, first + second), ok=0.85, error=0.7),
            Metric("recall", "float's boxes found again", share(both, first), ok=0.8, error=0.6),
            Metric("precision", "converted boxes that the float model has", share(both, second), ok=0.8, error=0.6),
            # 0.85 is a shift by about 4 % of the box' side; AP at higher overlaps suffers below.
            Metric("mean_iou", "overlap of matched boxes (IoU)", share(self._overlap, both), "", ok=0.85, error=0.7),
            Metric("score_shift", "mean change of their scores", share(self._shift, both), "", ok=0.08, error=0.2),
            Metric("boxes", "boxes of the float model", float(first), ""),
            Metric("box_side", "mean shorter side of a box, in parts of the image", share(self._sides, first), ""),
        )


def _worth(boxes: Boxes) -> float:
    """How well an image shows what a detector does: a few boxes that are large, and certain."""
    sides = np.clip(boxes.corners[:, 2:], 0, 1) - np.clip(boxes.corners[:, :2], 0, 1)
    worth = np.sort(boxes.scores * np.sqrt(np.clip(sides, 0, 1).prod(axis=1)))
    return float(worth[-LARGE:].sum())


def _named_otherwise(first: Boxes, second: Boxes, pairs: Matches) -> list[tuple[int, int]]:
    """Of the boxes that found no partner of their class, those that lie on one of another class: both classes."""
    rest = [
        np.setdiff1d(np.arange(len(boxes)), used)
        for boxes, used in ((first, pairs.reference), (second, pairs.candidate))
    ]
    one, other = first[rest[0]], second[rest[1]]
    found = match(_unnamed(one), _unnamed(other), MATCHED)
    labels = zip(one.labels[found.reference].tolist(), other.labels[found.candidate].tolist(), strict=True)
    return [pair for pair in labels if pair[0] != pair[1]]


def _unnamed(boxes: Boxes) -> Boxes:
    return replace(boxes, labels=np.zeros_like(boxes.labels))
