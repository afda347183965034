"""Caches answers that took a while: a file or folder for each, the oldest gone first, and all safe to throw away."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from oakmill import files

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
    files.atomic_write(path, data)
    _thin_out(path.parent, most)


@contextmanager
def making(folder: Path, most: int = MOST) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` at the end of the block; of two at once, the first stays."""
    with suppress(FileExistsError), files.atomic_folder(folder) as made:
        yield made
    _thin_out(folder.parent, most)


def _thin_out(folder: Path, most: int) -> None:
    files.sweep(folder)
    with suppress(FileNotFoundError):  # another process may tidy up too
        found = [entry for entry in folder.iterdir() if not entry.name.startswith(files.PART)]
        for entry in sorted(found, key=lambda entry: entry.stat().st_mtime)[:-most]:
            files.remove(entry)
