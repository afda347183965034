"""The accuracy passport: the float model against the converted one, with the method beside each number."""

from oakmill.conversion.passport.agreement import Comparison, OutputAgreement
from oakmill.conversion.passport.choose_tasks import of as tasks_of
from oakmill.conversion.passport.confidence import Confidence
from oakmill.conversion.passport.detectors import Finding, sorted_by_level
from oakmill.conversion.passport.measurement import Measurement
from oakmill.conversion.passport.observed import OutputEncoding, neighbours
from oakmill.conversion.passport.report import FP16_LARGEST, Check, Overflow, Passport, overflows
from oakmill.conversion.passport.tasks import ClassAgreement, Seen, Sighting, Task, TaskAgreement, WorstImage
from oakmill.conversion.passport.verdict import Metric, Verdict, worst_of

__all__ = [
    "FP16_LARGEST",
    "Check",
    "ClassAgreement",
    "Comparison",
    "Confidence",
    "Finding",
    "Measurement",
    "Metric",
    "OutputAgreement",
    "OutputEncoding",
    "Overflow",
    "Passport",
    "Seen",
    "Sighting",
    "Task",
    "TaskAgreement",
    "Verdict",
    "WorstImage",
    "neighbours",
    "overflows",
    "sorted_by_level",
    "tasks_of",
    "worst_of",
]
