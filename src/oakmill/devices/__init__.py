"""Cameras that are attached to this machine: what there is, and finished files run on them."""

from oakmill.devices.benchmark import Benchmark, benchmark
from oakmill.devices.camera import Camera, Identity
from oakmill.devices.finding import find, for_platform, looked_for
from oakmill.devices.running import Running, opened

__all__ = ["Benchmark", "Camera", "Identity", "Running", "benchmark", "find", "for_platform", "looked_for", "opened"]
