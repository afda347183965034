"""Says why a conversion failed and what to change: by a book of rules, in the source model's names, as data."""

from oakmill.conversion.failures.edits import apply, edited
from oakmill.conversion.failures.explaining import Problem, explain
from oakmill.conversion.failures.facts import SourceFacts
from oakmill.conversion.failures.failure import Edit, Failure, Place, Remedy
from oakmill.conversion.failures.rulebook import Rule, rules

__all__ = [
    "Edit",
    "Failure",
    "Place",
    "Problem",
    "Remedy",
    "Rule",
    "SourceFacts",
    "apply",
    "edited",
    "explain",
    "rules",
]
