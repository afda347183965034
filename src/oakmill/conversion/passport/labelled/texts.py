"""Readers by labels: the share of texts that are read without a mistake."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.labelled import bootstrap
from oakmill.conversion.passport.labelled.accuracy import Accuracy, Score
from oakmill.conversion.passport.labelled.truth import Truth
from oakmill.conversion.passport.sequence import Sequence


@dataclass
class Texts:
    """One output of scores at each step, against the text on each image; a text is compared without spaces at its ends,
    and in the case that the model's characters have."""

    truth: Truth
    task: Sequence
    _reference: list[bool] = field(default_factory=list)
    _candidate: list[bool] = field(default_factory=list)

    def add(self, image: str, reference: Outputs | None, candidate: Outputs) -> None:
        """Add one image's scores; one whose text nobody says does not count."""
        labelled = self.truth.by_name.get(image)
        if labelled is None or labelled.text is None:
            return
        wanted = self._cased(labelled.text.strip())
        self._candidate.append(self._cased(self.task.text(candidate).strip()) == wanted)
        if reference is not None:
            self._reference.append(self._cased(self.task.text(reference).strip()) == wanted)

    def _cased(self, text: str) -> str:
        """Where the characters are of one case, the other is meant by it too."""
        characters = "".join(self.task.names)
        one_case = characters == characters.upper() or characters == characters.lower()
        return text.casefold() if one_case else text

    @property
    def counts(self) -> bool:
        """Whether there is anything to judge by now."""
        return bool(self._candidate)

    @property
    def matching(self) -> str:
        """How texts are read."""
        return f"read as CTC writes them, with class {self.task.blank} as the blank"

    def accuracy(self) -> Accuracy | None:
        """What was found so far; None of no image."""
        if not self.counts:
            return None
        read, right = np.array(self._reference, bool), np.array(self._candidate, bool)
        score = Score("texts", "texts without a mistake", *bootstrap.of_shares(read, right))
        return Accuracy("Text", "text", right.size, self.truth.labels.source, (score,), self.matching)
