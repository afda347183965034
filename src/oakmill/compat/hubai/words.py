"""Our words in HubAI's: precisions, states, calibration sets; its clients reject all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from oakmill.calibration.datasets import SETS
from oakmill.jobs.tables import JobStatus
from oakmill.registry.tables import Instance, InstanceStatus, Origin

YoloVersion = Literal[
    "yolov5", "yolov6r1", "yolov6r3", "yolov6r4", "yolov7", "yolov8", "yolov9", "yolov10", "yolov11", "yolov12",
    "yolov26", "goldyolo",
]  # fmt: skip
YOLO_VERSIONS: tuple[str, ...] = YoloVersion.__args__  # type: ignore[attr-defined]

PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "INT8": ("INT8_STANDARD", "INT8_ACCURACY_FOCUSED"),
    "INT8_INT16": ("INT8_INT16_MIXED", "INT8_INT16_MIXED_ACCURACY_FOCUSED"),
    "FP16": ("FP16_STANDARD",),
    "FP32": ("FP32_STANDARD",),
}
"""The short words that results are listed by, and the modes that they are made in; our others have no short word."""

JOB_STATES = {
    JobStatus.WAITING: "QUEUED",
    JobStatus.QUEUED: "QUEUED",
    JobStatus.RUNNING: "RUNNING",
    JobStatus.SUCCEEDED: "COMPLETED",
    JobStatus.FAILED: "FAILED",
    JobStatus.CANCELLED: "CANCELLED",
}
STAGE_STATES = {"running": "RUNNING", "done": "COMPLETED", "failed": "FAILED"}


def precision(mode: str | None) -> str | None:
    """The short word of a mode."""
    return next((short for short, modes in PRECISIONS.items() if mode in modes), None)


def calibration_set(name: str | None) -> str | None:
    """The named sets are written large."""
    return name.upper() if name in SETS else name


def status(row: Instance) -> str:
    """Whether an instance can be used."""
    return "available" if row.status == InstanceStatus.AVAILABLE else "unavailable"


def model_class(row: Instance) -> str:
    """Whether an instance was uploaded or made."""
    return "BASE" if row.origin == Origin.SOURCE else "EXPORTED"
