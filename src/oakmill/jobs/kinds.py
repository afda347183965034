"""Words that the hub's processes share about jobs, in a module that loads in no time."""

from __future__ import annotations

CONVERT = "convert"
REBUILD = "rebuild"
"""A conversion that takes nothing from the cache and is compared with what is there."""
PROVE = "prove"
"""A finished file on a camera, as its passport measures it."""
BENCHMARK = "benchmark"
"""How fast a camera runs a finished file."""
ON_CAMERA = (PROVE, BENCHMARK)
"""What agents claim, for the cameras that are attached to their machines; workers claim all else."""
CAMERAS = ("rvc2", "rvc4")
"""The platforms whose files depthai runs."""
SOURCE = "source"
"""The sub-folder of a request in which the source's files lie, under their own names."""
