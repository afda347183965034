"""The accuracy passport: the float model against the converted one, with the method beside each number."""

from oakmill.conversion.passport.agreement import Comparison, OutputAgreement
from oakmill.conversion.passport.bounds import HALF, QUANTIZED, Bounds
from oakmill.conversion.passport.choose_tasks import of as tasks_of
from oakmill.conversion.passport.confidence import Confidence
from oakmill.conversion.passport.measurement import Measurement
from oakmill.conversion.passport.metric import Metric
from oakmill.conversion.passport.observed import OutputEncoding, neighbours
from oakmill.conversion.passport.report import FP16_LARGEST, Check, HeldOut, Overflow, Passport, overflows, read
from oakmill.conversion.passport.tasks import ClassAgreement, Seen, ShownImage, Sighting, Task, TaskAgreement

__all__ = [
    "FP16_LARGEST",
    "HALF",
    "QUANTIZED",
    "Bounds",
    "Check",
    "ClassAgreement",
    "Comparison",
    "Confidence",
    "HeldOut",
    "Measurement",
    "Metric",
    "OutputAgreement",
    "OutputEncoding",
    "Overflow",
    "Passport",
    "Seen",
    "ShownImage",
    "Sighting",
    "Task",
    "TaskAgreement",
    "neighbours",
    "overflows",
    "read",
    "tasks_of",
]
