"""What cameras have measured of an instance, for the pages: its newest figures, and the jobs that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oakmill.jobs.kinds import BENCHMARK, PROVE
from oakmill.jobs.tables import Job
from oakmill.registry.tables import Instance

WAYS: Mapping[str, tuple[str, str]] = {
    PROVE: ("Prove on a camera", "The passport's images through the camera, beside what was emulated; and its speed."),
    BENCHMARK: ("Benchmark", "Frames each second, and the time of one, on frames that are generated."),
}
"""What a button is called, and what it does."""


@dataclass(frozen=True)
class Way:
    """A button: what is asked, and in a sentence what keeps it from being asked."""

    kind: str
    label: str
    about: str
    refused: str


def words(facts: Mapping[str, Any]) -> str:
    """How fast a camera ran it: 61.5 FPS, 16.2 ms; empty where none did."""
    speed = speed_of(facts)
    return f"{speed['fps']:.1f} FPS, {speed['latency_ms']:.1f} ms" if speed else ""


def speed_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The newest speed, empty where none was measured."""
    return dict((facts.get("measured") or {}).get("speed") or {})


def fps(row: Instance) -> float | None:
    """Frames each second on a camera."""
    found = speed_of(row.facts).get("fps")
    return float(found) if isinstance(found, int | float) else None


def on(found: Mapping[str, Any]) -> str:
    """On which camera with which firmware, and when, in words."""
    device = found.get("device") or {}
    name = device.get("product") or "a camera"
    return f"{name}, {device.get('firmware')}, {str(found.get('when'))[:10]}"


def came_of(job: Job) -> str:
    """What a job on a camera has measured, in words."""
    found = (job.result or {}).get("measured") or {}
    speed = words({"measured": found})
    return f"{speed} on {on(found.get('speed') or found.get('proof') or {})}" if found else ""
