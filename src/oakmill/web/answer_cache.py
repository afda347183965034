"""Keeps answers that took a while: a file for each question, the oldest gone first, safe to throw away at any time."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

MOST = 200


def path_of(folder: Path, question: Any) -> Path:
    """Where the answer to a question is, or would be."""
    words = json.dumps(question, sort_keys=True, default=str)
    return folder / f"{hashlib.sha256(words.encode()).hexdigest()[:40]}.json"


def known(folder: Path, question: Any) -> dict[str, Any] | None:
    """The answer, where it is there."""
    try:
        found: dict[str, Any] = json.loads(path_of(folder, question).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found


def answer(folder: Path, question: Any, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The answer; made now where it is not there."""
    if (found := known(folder, question)) is not None:
        return found
    made = make()
    put(path_of(folder, question), json.dumps(made).encode())
    return made


def put(path: Path, data: bytes, most: int = MOST) -> None:
    """Write a file, whole or not at all; of more than `most` in its folder, the oldest go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    partial.write_bytes(data)
    partial.rename(path)
    with suppress(FileNotFoundError):  # another process may tidy up too
        found = sorted(path.parent.iterdir(), key=lambda entry: entry.stat().st_mtime)
        for entry in found[:-most]:
            entry.unlink()
