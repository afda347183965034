"""Measures how fast a camera runs a network: images each second, and how long one takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from oakmill.devices.boundary import Arrays
from oakmill.devices.camera import Identity
from oakmill.devices.running import AHEAD, Running

METHOD = (
    f"frames sent from this machine, outputs read back; FPS with {AHEAD} frames on their way at once, latency with one"
)


@dataclass(frozen=True)
class Benchmark:
    """What was measured on which camera: frames each second, and milliseconds from sending one to its outputs here."""

    device: Identity
    fps: float
    latency_ms: float
    latency_p95_ms: float
    frames: int
    seconds: float
    method: str = METHOD

    @property
    def words(self) -> str:
        """The numbers in a few words."""
        return f"{self.fps:.1f} FPS, latency {self.latency_ms:.2f} ms median, {self.latency_p95_ms:.2f} ms p95"

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def benchmark(running: Running, samples: Sequence[Arrays], seconds: float, warm_up: float) -> Benchmark:
    """Run samples again and again: for the warm-up, then half of the seconds for the latency, and half for the FPS.

    Raises:
        DeviceError: as `Running.infer`.
    """
    messages = [running.message(sample) for sample in samples]
    _one_by_one(running, messages, warm_up)
    each = _one_by_one(running, messages, seconds / 2)
    frames, spent = _at_once(running, messages, seconds / 2)
    p95 = statistics.quantiles(each, n=20, method="inclusive")[-1] if len(each) > 1 else each[0]
    return Benchmark(
        running.identity, frames / spent, 1e3 * statistics.median(each), 1e3 * p95, len(each) + frames, seconds
    )


def _one_by_one(running: Running, messages: Sequence[Any], seconds: float) -> list[float]:
    """The seconds that each frame takes, with no other on its way; at least one."""
    found: list[float] = []
    ends = time.monotonic() + seconds
    while not found or time.monotonic() < ends:
        began = time.monotonic()
        running.pass_on(messages[len(found) % len(messages)])
        running.receive()
        found.append(time.monotonic() - began)
    return found


def _at_once(running: Running, messages: Sequence[Any], seconds: float) -> tuple[int, float]:
    """How many frames came through, and in what time, with some always on their way."""
    for place in range(AHEAD):
        running.pass_on(messages[place % len(messages)])
    running.receive()
    began, frames = time.monotonic(), 0
    while not frames or time.monotonic() - began < seconds:
        running.pass_on(messages[frames % len(messages)])
        running.receive()
        frames += 1
    spent = time.monotonic() - began
    for _ in range(AHEAD - 1):
        running.receive()
    return frames, spent
