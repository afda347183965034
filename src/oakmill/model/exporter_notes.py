"""What Ultralytics notes in files that are no ONNX, as it says the same in ONNX files: the task, the classes' names."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oakmill.model import archives

LONGEST = 1 << 20
"""Characters of notes that are read: 10,000 names of 100 characters; what is longer is something else."""
_NOTES = "metadata.json"


def literal(text: str) -> Any:
    """A Python literal, which is parsed and never run; None for anything else."""
    if len(text) > LONGEST:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def of_tflite(path: Path) -> Mapping[str, str]:
    """Of a TFLite file, behind which they are a zip: JSON, or the literal of earlier years, its only member."""
    members = archives.zip_names(path)
    named = _NOTES if _NOTES in members else members[0] if len(members) == 1 else ""
    return of_text(archives.zip_member(path, named, LONGEST + 1).decode(errors="replace")) if named else {}


def of_text(text: str) -> Mapping[str, str]:
    """Of a mapping in JSON or as a literal, each value as an ONNX file would have it; empty of anything else.

    In JSON the classes' numbers are texts.
    """
    try:
        found = json.loads(text) if len(text) <= LONGEST else None
    except (ValueError, RecursionError):
        found = literal(text)
    if not isinstance(found, Mapping) or found.get("author") != "Ultralytics":
        return {}
    return {str(key): value if isinstance(value, str) else _text(value) for key, value in found.items()}


def _text(value: Any) -> str:
    try:
        if isinstance(value, Mapping) and all(isinstance(key, str) and key.isdecimal() for key in value):
            value = {int(key): item for key, item in value.items()}
        return repr(value)
    except (ValueError, RecursionError):  # a number of 5,000 digits has no text
        return ""
