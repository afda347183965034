"""Where a job stands; for clients too, so without tables."""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"  #: for an upload that was announced (a calibration set); becomes queued, or fails in time
    QUEUED = "queued"
    RUNNING = "running"  #: a worker holds its lease
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE = (JobStatus.WAITING, JobStatus.QUEUED, JobStatus.RUNNING)
"""States that a job leaves by itself."""
