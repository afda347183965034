"""Where a job stands, and what webhooks tell of it; for clients too, so without tables."""

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


class LeaseState(StrEnum):
    """How the lease of a job stands, with whoever runs it."""

    HELD = "held"
    CANCEL = "cancel"  #: held, and to be cancelled
    LOST = "lost"  #: the job is another's: end everything, write nothing


class Event(StrEnum):
    """What a webhook may be told of."""

    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"
    FLAGGED = "instance.flagged"  #: a result's passport says warning or error


TEST_EVENT = "webhook.test"
"""What is sent by hand, whatever the webhook asked for."""


class DeliveryStatus(StrEnum):
    """Where a message to a webhook stands."""

    PENDING = "pending"  #: it is sent, or will be again
    DELIVERED = "delivered"
    FAILED = "failed"  #: it was tried for a day, or the receiver wants it no more
