"""The agreement of outputs that are a row of scores for each step or place: texts, and scores without boxes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.classification import SURE, probabilities
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
    share,
)

BLANK_SHARE = 0.3
"""CTC puts a blank between characters and behind the last, so that it wins at a third of the steps and more."""


@dataclass
class Sequence:
    """One output [1, T, K] or, time first, [T, 1, K]: the best of K classes at each of T steps; a text, where one class
    is CTC's blank.

    `blank` is that class; where none is declared it is found in what the float model says: the first or the last one,
    if it wins often enough.
    """

    output: str
    names: tuple[str, ...] = ()
    blank: int | None = None
    guessed: bool = True
    _classes: int = 0
    _steps: int = 0
    _same: int = 0
    _tops: Counter[int] = field(default_factory=Counter)
    _texts: list[tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]] = field(default_factory=list)
    _by_image: list[float] = field(default_factory=list)
    _gallery: Gallery = field(default_factory=Gallery)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The one output."""
        return (self.output,)

    def add(self, image: str, reference: Outputs, candidate: Outputs) -> None:
        """Add one image's scores."""
        a, b = (self._rows(outputs).argmax(axis=1) for outputs in (reference, candidate))
        self._classes = reference[self.output].shape[2]
        self._steps += a.size
        self._same += int((a == b).sum())
        self._tops.update(a.tolist())
        sure = tuple(float(probabilities(row).max()) for row in self._rows(reference))
        self._texts.append((tuple(a.tolist()), tuple(b.tolist()), sure))
        agreement = float((a == b).mean()) if a.size else 1.0
        self._by_image.append(agreement)
        worth = float(np.mean(sure)) if len(set(a.tolist())) > 1 else 0.0  # one class at all steps is no text
        seen = self._sighting
        self._gallery.add(image, agreement, worth, lambda: (seen(reference, a), seen(candidate, b)))

    def _rows(self, outputs: Outputs) -> NDArray[Any]:
        """The scores at each step, [T, K]."""
        values = np.asarray(outputs[self.output])
        return values.reshape(-1, values.shape[-1])

    def text(self, outputs: Outputs) -> str:
        """The text that is read, where the blank and the characters are known."""
        tops = self._rows(outputs).argmax(axis=1)
        return "".join(self._character(index) for index in _collapsed(tops) if index != self.blank)

    def _sighting(self, outputs: Outputs, tops: NDArray[Any]) -> Sighting:
        blank = self.blank if self.blank is not None else self._found_blank()
        words = [self._character(index) for index in _collapsed(tops) if index != blank]
        certainty = Seen("mean confidence", self.certainty(outputs))
        return Sighting((certainty,), text=("" if self.names else " ").join(words) or "(nothing)")

    def _character(self, index: int) -> str:
        return self.names[index] if index < len(self.names) else str(index)

    def _found_blank(self) -> int | None:
        """The class that stands for nothing, where the float model's answers show one."""
        for index in (0, self._classes - 1):
            if self._tops[index] >= BLANK_SHARE * max(self._tops.total(), 1):
                return index
        return None

    def certainty(self, outputs: Outputs) -> float:
        """The mean over the steps of the highest probability."""
        rows = self._rows(outputs)
        return float(np.mean([probabilities(row).max() for row in rows])) if len(rows) else 0.0

    def agreement(self) -> TaskAgreement:
        """What was found so far; guessed, it decides only where a blank shows itself, and the model is sure."""
        blank = self.blank if self.blank is not None else self._found_blank()
        evident = blank is not None and self._is_sure
        decides = not self.guessed or evident
        note = f"the best of {self._classes} classes at each step; "
        note += "taken for a sequence by its shape" if self.guessed else DECLARED
        if blank is not None:
            note += f"; texts are read as CTC writes them, with class {blank} as the blank"
        if few := decides and len(self._by_image) < ENOUGH:
            note += f"; fewer than {ENOUGH} images{BESIDE}"
        return TaskAgreement(
            f"Text ({self.output})" if blank is not None else f"Sequence ({self.output})",
            "text" if blank is not None else "sequence",
            self.outputs,
            self._metrics(blank, decides=decides),
            len(self._by_image),
            note,
            self._gallery.worst.sorted(),
            by_image=tuple(self._by_image),
            guessed=self.guessed,
            decides=decides,
            evident=evident,
            few=few,
            best=self._gallery.best.sorted(),
        )

    @property
    def _is_sure(self) -> bool:
        """Whether one class mostly stands out, as of a reader trained by CTC; of an embedding's numbers none does."""
        steps = [certainty for _, _, sure in self._texts for certainty in sure]
        return bool(steps) and float(np.mean(steps)) >= SURE

    def _metrics(self, blank: int | None, *, decides: bool) -> dict[str, Metric]:
        ok, error = (0.9, 0.75) if decides else (None, None)
        steps = Metric("steps", "steps with the same class", share(self._same, self._steps), ok=ok, error=error)
        if blank is None:
            return by_key(steps)
        same, sure = [], []
        for first, second, certainty in self._texts:
            same.append(_text(first, blank) == _text(second, blank))
            characters = [value for value, index in zip(certainty, first, strict=True) if index != blank]
            sure.append(bool(characters) and min(characters) >= SURE)
        # A text is as good as its worst character: of 8 characters kept at 99 % each, 92 % of the texts stay. What the
        # float model reads where it is unsure of a character, as on images without any text, changes with anything.
        both = sum(first and second for first, second in zip(same, sure, strict=True))
        words = "same text where the float model is sure of each character"
        return by_key(
            Metric("texts_sure", words, share(both, sum(sure)), ok=0.9, error=0.7),
            Metric("texts", "same text on all images", share(sum(same), len(same))),
            Metric("texts_read", "images where it is sure", share(sum(sure), len(sure))),
            replace(steps, ok=None, error=None),
        )


def _collapsed(tops: NDArray[Any]) -> tuple[int, ...]:
    """Repeats made one, as CTC reads; the blank is still among them, as it parts doubled characters."""
    return tuple(int(item) for place, item in enumerate(tops) if not place or item != tops[place - 1])


def _text(tops: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(index for index in _collapsed(np.array(tops, np.int64)) if index != blank)


@dataclass
class ScoredRows:
    """One output [1, N, K] of scores of 0 to 1 whose boxes nobody declared: the rows that the float model scores high.

    It shows what becomes of them, and decides nothing.
    """

    output: str
    threshold: float = 0.25
    _scored: int = 0
    _kept: int = 0
    _same: int = 0
    _shift: float = 0.0
    _unfit: bool = False
    _by_image: list[float] = field(default_factory=list)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The one output."""
        return (self.output,)

    def add(self, image: str, reference: Outputs, candidate: Outputs) -> None:
        """Add one image's scores; the image's name is not kept."""
        a, b = (outputs[self.output][0].astype(np.float64) for outputs in (reference, candidate))
        self._unfit |= bool(a.min(initial=0) < -0.01 or a.max(initial=0) > 1.01)
        high = a.max(axis=1) >= self.threshold
        a, b = a[high], b[high]
        kept = int((b.max(axis=1, initial=0) >= self.threshold).sum())
        self._scored += len(a)
        self._kept += kept
        self._same += int((a.argmax(axis=1) == b.argmax(axis=1)).sum())
        self._shift += float(np.abs(a.max(axis=1, initial=0) - b.max(axis=1, initial=0)).sum())
        self._by_image.append(kept / len(a) if len(a) else 1.0)

    def certainty(self, outputs: Outputs) -> float:
        """The highest score."""
        return float(np.clip(outputs[self.output].max(initial=0), 0, 1))

    def agreement(self) -> TaskAgreement:
        """What was found so far."""
        scored = 0 if self._unfit else self._scored
        return TaskAgreement(
            f"Scores ({self.output})",
            "rows",
            self.outputs,
            by_key(
                Metric("kept", "rows scored high by both", share(self._kept, scored)),
                Metric("same_class", "rows of the same class", share(self._same, scored)),
                Metric("score_shift", "mean change of their scores", share(self._shift, scored), ""),
            ),
            len(self._by_image),
            f"rows with a score from {self.threshold:g}; guessed from the shape, so it decides nothing",
            by_image=tuple(self._by_image),
            guessed=True,
            decides=False,
        )
