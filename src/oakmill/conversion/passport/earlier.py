"""Passports written by an earlier version, brought to what this one writes: other keys, colours for severities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oakmill.findings import severity_of

_KEYS = {
    "level": "severity",
    "what": "message",
    "green": "ok",
    "red": "error",
    "pass_above_db": "ok_from_db",
    "fail_below_db": "error_below_db",
    "float": "reference",
    "converted": "candidate",
}
_SEVERITIES = ("verdict", "severity")
_PLAIN_NUMBERS = ("mean_iou", "score_shift", "confidence_shift", "boxes", "box_side")


def raised(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the keys and words of today; one of today is left as it is.

    Raises:
        ValueError: a severity is no word that any version has.
    """
    found = dict(document)
    if found.get("passport_version", 1) >= 3:
        return found
    found.pop("colour", None)
    for key in ("verdict", "checks", "findings"):
        if key in found:
            found[key] = _renamed(found[key], key)
    for check in found.get("checks", ()):
        for output in check["outputs"]:
            output["by_image_snr_db"] = output.get("by_image_snr_db") or ()
            output["values"] = output.get("values") or {}
        for task in check.get("tasks", ()):
            for key, metric in task["metrics"].items():
                metric |= {"key": key, "unit": "" if key in _PLAIN_NUMBERS else "%"}
    return {**found, "passport_version": 3}


def _renamed(value: Any, key: str) -> Any:
    if key == "evidence":
        return value
    if isinstance(value, Mapping):
        return {(new := _KEYS.get(old, old)): _renamed(item, str(new)) for old, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, "") for item in value]
    return severity_of(value).value if key in _SEVERITIES and value else value
