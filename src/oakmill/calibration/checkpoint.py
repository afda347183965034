"""Keeps a calibration's state in a file, so that one which was killed goes on where it was."""

from __future__ import annotations

import hashlib
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oakmill.errors import OutputError
from oakmill.files import atomic_file

EVERY = 10.0
"""Seconds between two saves: what a killed calibration loses at most, and one image."""

# What numpy raises on files that are damaged; it has no errors of its own.
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


class Saveable(Protocol):
    """A calibration's state."""

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as plain arrays."""

    def restore(self, state: dict[str, NDArray[Any]], /) -> None:
        """Go on from what `state` gave; ValueError where it is not whole."""


class Checkpoint:
    """A file of a calibration's state, a numpy archive; it is replaced whole, and only by a calibration of its key."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = key
        self._saved = time.monotonic()

    def restore(self, state: Saveable) -> None:
        """Bring the state to what the file holds; a file of another calibration, or a damaged one, is ignored."""
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            if str(arrays.pop("key")) == self._key:
                state.restore(arrays)
        except _DAMAGE:
            return

    def save_now_and_then(self, state: Saveable) -> None:
        """Save, if the last time is long enough ago."""
        if time.monotonic() - self._saved >= EVERY:
            self.save(state)

    def save(self, state: Saveable) -> None:
        """Replace the file at once: whoever is killed here leaves the old one.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            with atomic_file(self._path, durable=True) as file:
                np.savez(file, allow_pickle=False, key=np.array(self._key), **state.state())
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}", subject=str(self._path)) from error
        self._saved = time.monotonic()


def key_of(words: Sequence[str], model: bytes, sample: Mapping[str, NDArray[Any]]) -> str:
    """A name for one calibration: by its words, its model's bytes and its first sample."""
    digest = hashlib.sha256("\0".join([np.__version__, *words]).encode())
    digest.update(hashlib.sha256(model).digest())
    for name, tensor in sorted(sample.items()):
        digest.update(f"\0{name}{tensor.dtype}{tensor.shape}".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()
