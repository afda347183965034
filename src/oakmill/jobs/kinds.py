"""Words that the hub's processes share about jobs, in a module that loads in no time."""

from __future__ import annotations

from collections.abc import Mapping

from oakmill.spec import AnySpec, Rvc2Spec, Rvc3Spec, Rvc4Spec

CONVERT = "convert"
REBUILD = "rebuild"
"""A conversion that takes nothing from the cache and is compared with what is there."""
INSPECT = "inspect"
"""A request to look at files; it is no job in the queue."""

SPECS: Mapping[str, type[AnySpec]] = {"rvc2": Rvc2Spec, "rvc3": Rvc3Spec, "rvc4": Rvc4Spec}
