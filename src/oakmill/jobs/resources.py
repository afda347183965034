"""Says what this machine has for jobs: how many run side by side, and how much memory each may use."""

from __future__ import annotations

import os

import psutil

from oakmill.processes import memory
from oakmill.settings import Settings

_USUAL_MB = 4096
"""What a conversion is given where there is the choice; most need far less."""
_FOR_OTHERS = 0.1
"""The part of the memory that is left to the system and the server."""


def slots(settings: Settings) -> int:
    """How many jobs run side by side here: as many as memory and cores allow, at least one."""
    if settings.hub_workers >= 0:
        return settings.hub_workers
    return max(1, min(_cores(), _machine_mb() // (settings.job_memory_mb or _USUAL_MB)))


def job_memory_mb(settings: Settings) -> int:
    """What all processes of one job may use together, in MB."""
    return settings.job_memory_mb or _machine_mb() // max(1, slots(settings))


def _machine_mb() -> int:
    """What there is, without the part of others: the machine's, or what its container may use."""
    total = psutil.virtual_memory().total >> 20
    return int(min(total, memory.limit_mb() or total) * (1 - _FOR_OTHERS))


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))
