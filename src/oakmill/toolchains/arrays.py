"""Arrays on their way to a runner and back: samples as .npy files in its job folder, its answers as one .npz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTPUTS = "outputs.npz"


def save_samples(job: Path, samples: Sequence[Mapping[str, NDArray[Any]]]) -> list[dict[str, str]]:
    """Write each sample's arrays into the folder `job`; the names of the files by the names of the inputs."""
    return [
        {name: _save(job / f"{index}_{port}.npy", values) for port, (name, values) in enumerate(sample.items())}
        for index, sample in enumerate(samples)
    ]


def load_answers(job: Path, names: Sequence[str], count: int) -> tuple[dict[str, NDArray[Any]], ...]:
    """The outputs of so many samples by their names, of a runner that calls them by their places: PORT/SAMPLE."""
    with np.load(job / OUTPUTS) as outputs:
        return tuple({name: outputs[f"{port}/{index}"] for port, name in enumerate(names)} for index in range(count))


def _save(path: Path, values: NDArray[Any]) -> str:
    np.save(path, np.ascontiguousarray(values))
    return path.name
