"""Arrays on their way to a runner and back: samples as .npy files in its job folder, its answers as one .npz."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.errors import ToolFailed

OUTPUTS = "outputs.npz"
_DAMAGED = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, zipfile.BadZipFile, zlib.error)
"""What numpy raises of a file that is none of its own, or holds something else."""


def save_samples(job: Path, samples: Sequence[Mapping[str, NDArray[Any]]]) -> list[dict[str, str]]:
    """Write each sample's arrays into the folder `job`; the names of the files by the names of the inputs."""
    return [
        {name: _save(job / f"{index}_{port}.npy", values) for port, (name, values) in enumerate(sample.items())}
        for index, sample in enumerate(samples)
    ]


def load_answers(job: Path, names: Sequence[str], count: int) -> tuple[dict[str, NDArray[Any]], ...]:
    """The outputs of so many samples by their names, of a runner that calls them by their places: PORT/SAMPLE.

    Raises:
        ToolFailed: the file is damaged, or holds others.
    """
    return load_named(job / OUTPUTS, names, count)


def load_named(path: Path, names: Sequence[str], count: int) -> tuple[dict[str, NDArray[Any]], ...]:
    """Of a file that a runner wrote, the arrays of so many samples by their names; they are called PORT/SAMPLE there.

    Raises:
        ToolFailed: the file is damaged, or holds others.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return tuple(
                {name: _numbers(kept[f"{port}/{index}"]) for port, name in enumerate(names)} for index in range(count)
            )
    except _DAMAGED as error:
        said = f"what the tool computed cannot be read in {path.name}: {error}"
        raise ToolFailed(said, subject=path.name, remedy="convert once more: the tool's answer is damaged") from error


def save_named(path: Path, values: Mapping[str, NDArray[Any]]) -> Path:
    """Write the arrays of one sample as `load_named` reads them."""
    kept: dict[str, Any] = {f"{port}/0": array for port, array in enumerate(values.values())}
    np.savez(path, allow_pickle=False, **kept)
    return path


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "biuf":
        raise ValueError(f"it holds {values.dtype}, and no numbers")
    return values


def _save(path: Path, values: NDArray[Any]) -> str:
    np.save(path, np.ascontiguousarray(values))
    return path.name
