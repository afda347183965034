"""Words that the hub's processes share about jobs, in a module that loads in no time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from oakmill.errors import UnsafeSource
from oakmill.spec import AnySpec, Rvc2Spec, Rvc3Spec, Rvc4Spec

CONVERT = "convert"
REBUILD = "rebuild"
"""A conversion that takes nothing from the cache and is compared with what is there."""
INSPECT = "inspect"
"""A request to look at files; it is no job in the queue."""
SOURCE = "source"
"""The sub-folder of a request in which the source's files lie, under their own names."""

SPECS: Mapping[str, type[AnySpec]] = {"rvc2": Rvc2Spec, "rvc3": Rvc3Spec, "rvc4": Rvc4Spec}


def inside(folder: Path, name: str) -> Path:
    """The place of a file in a folder, by its name, which may have sub-folders in it.

    Raises:
        UnsafeSource: the name leads out of the folder, or is no file's.
    """
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\0" in name or "\\" in name:
        raise UnsafeSource(f"The file name {name!r} leads out of its folder.", subject=name)
    return folder.joinpath(*parts)
