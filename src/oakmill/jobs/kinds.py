"""Words that the hub's processes share about jobs, in a module that loads in no time."""

from __future__ import annotations

CONVERT = "convert"
REBUILD = "rebuild"
"""A conversion that takes nothing from the cache and is compared with what is there."""
SOURCE = "source"
"""The sub-folder of a request in which the source's files lie, under their own names."""
