"""Words that the hub's processes share about jobs, in a module that loads in no time."""

from __future__ import annotations

from pathlib import Path

from oakmill.errors import UnsafeSource

CONVERT = "convert"
REBUILD = "rebuild"
"""A conversion that takes nothing from the cache and is compared with what is there."""
INSPECT = "inspect"
"""A request to look at files; it is no job in the queue."""
SOURCE = "source"
"""The sub-folder of a request in which the source's files lie, under their own names."""


def inside(folder: Path, name: str) -> Path:
    """The place of a file in a folder, by its name, which may have sub-folders in it.

    Raises:
        UnsafeSource: the name leads out of the folder, or is no file's.
    """
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\0" in name or "\\" in name:
        raise UnsafeSource(f"The file name {name!r} leads out of its folder.", subject=name)
    return folder.joinpath(*parts)
