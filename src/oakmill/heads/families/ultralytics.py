"""Reads what Ultralytics' exporter notes in an ONNX file: the task, the classes' names, the stride."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oakmill.model.exporter_notes import literal
from oakmill.spec import class_names

TASKS = ("detect", "segment", "pose", "obb")
"""Tasks whose exports are ended where a parser reads them."""
CLASSIFY = "classify"


@dataclass(frozen=True)
class Export:
    """What an export says of itself; `names` in the order of the classes, empty where it does not say them.

    `keypoints` are how many there are, and of how many numbers each is; zeros where it says none.
    """

    task: str
    names: tuple[str, ...] = ()
    stride: int = 32
    version: str = ""
    keypoints: tuple[int, int] = (0, 0)


def read(metadata: Mapping[str, str]) -> Export | None:
    """The export's own words, or None where another program wrote the file.

    Args:
        metadata: the ONNX file's `metadata_props`. Values are Python literals, and are parsed as such, never run.
    """
    if metadata.get("author") != "Ultralytics" or not metadata.get("task"):
        return None
    stride = literal(metadata.get("stride", ""))
    return Export(
        metadata["task"],
        names_in(metadata),
        stride if isinstance(stride, int) and 0 < stride <= 1024 else 32,
        metadata.get("version", ""),
        _keypoints(literal(metadata.get("kpt_shape", ""))),
    )


def names_in(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The classes' names that a file's writer noted as a literal, as the repositories of YOLO v5 and v8 do; or none."""
    return _names(literal(metadata.get("names", "")))


def _keypoints(found: Any) -> tuple[int, int]:
    if (
        isinstance(found, list | tuple)
        and len(found) == 2
        and all(type(item) is int and 0 < item <= 1024 for item in found)
    ):
        return found[0], found[1]
    return 0, 0


def _names(found: Any) -> tuple[str, ...]:
    """Names by their class number: a list, or a dict whose keys are 0, 1, 2 and so on; none where one is no name."""
    try:
        if isinstance(found, dict) and sorted(found, key=str) == sorted(range(len(found)), key=str):
            found = [found[number] for number in range(len(found))]
        return class_names.checked([str(name) for name in found]) if isinstance(found, list | tuple) else ()
    except (ValueError, RecursionError):  # a number of 5,000 digits has no text, and a text need be no name
        return ()
