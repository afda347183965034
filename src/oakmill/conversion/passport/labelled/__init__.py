"""The task's own metric by labels: of the float model and of the converted one, and how sure so few images make it."""

from oakmill.conversion.passport.labelled.accuracy import Accuracy, Score
from oakmill.conversion.passport.labelled.judges import UNUSED, Judge, judges_of, unused
from oakmill.conversion.passport.labelled.truth import Truth

__all__ = ["UNUSED", "Accuracy", "Judge", "Score", "Truth", "judges_of", "unused"]
