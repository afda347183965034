"""Says which words of a head are names of outputs: what follows renames, and what a cut may have taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ENDINGS = ("_outputs", "_output")
"""How the keys of a head's metadata end that name outputs: yolo_outputs, mask_outputs, keypoints_outputs,
angles_outputs, boxes_outputs, scores_outputs and protos_outputs (luxonis_ml's schema); protos_output (FastSAM's parser
in depthai-nodes)."""


def named(head: Mapping[str, Any]) -> tuple[str, ...]:
    """The outputs that a head names, each once; none where it speaks of all that there are."""
    return tuple(dict.fromkeys(_names(head)))


def _names(head: Mapping[str, Any]) -> Iterator[str]:
    for given in (head.get("outputs"), *(value for _, value in _of_metadata(head))):
        words = [given] if isinstance(given, str) else given if isinstance(given, list | tuple) else []
        yield from (word for word in words if isinstance(word, str))


def _of_metadata(head: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    metadata = head.get("metadata") or {}
    return ((key, value) for key, value in metadata.items() if key.endswith(ENDINGS))


def renamed(head: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The head whose outputs have new names, by their old ones; a class that is called as an output keeps its name."""
    changed = {**head}
    if head.get("outputs"):
        changed["outputs"] = _renamed(head["outputs"], names)
    if head.get("metadata"):
        changed["metadata"] = {
            **head["metadata"], **{key: _renamed(value, names) for key, value in _of_metadata(head)}
        }  # fmt: skip
    return changed


def _renamed(given: Any, names: Mapping[str, str]) -> Any:
    if isinstance(given, list | tuple):
        return [names.get(word, word) if isinstance(word, str) else word for word in given]
    return names.get(given, given) if isinstance(given, str) else given
