"""Cameras that are attached to this machine: what there is, and finished files run on them."""

from oakmill.devices.benchmark import Benchmark, benchmark
from oakmill.devices.camera import Camera, Identity
from oakmill.devices.finding import find, for_platform, looked_for
from oakmill.devices.looking import Fit, Looking, looking
from oakmill.devices.running import Running, opened

__all__ = [
    "Benchmark", "Camera", "Fit", "Identity", "Looking", "Running", "benchmark", "find", "for_platform", "looked_for",
    "looking", "opened",
]  # fmt: skip
