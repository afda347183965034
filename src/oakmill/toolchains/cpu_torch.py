"""Which PyTorch the toolchains have that need one: its build for the CPU."""

from __future__ import annotations

from oakmill.toolchains.making import ByPip

VERSION = "2.13.0"

# "+cpu" is a part of the version: without it, the public build is taken, which brings gigabytes of CUDA along. Indexes
# that carry the CPU build pack it each for itself, so no hash fits all; the version says which build it is.
CPU_BUILD = ByPip(
    f"torch=={VERSION}+cpu",
    "PyTorch's build for the CPU is not on the index that pip asks by default. Lead pip to one that has it "
    "(PIP_EXTRA_INDEX_URL), or to a folder with its wheel (PIP_FIND_LINKS), then:",
)
