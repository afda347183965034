"""Makes what models read that see no images: files' bytes, sound, places and letters, as .npy files for each input."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

COUNT = 96
RATE = 16_000
"""Of sound, in Hz."""
_HALF, _PADDING = 1024, 256
"""Magika reads so many bytes from a file's start and end; what is missing has a number of its own."""

Sample = Mapping[str, Any]


def made(folder: Path, kind: str) -> Path:
    """A folder of samples of that kind, with one within it for each input; made once, the same each time."""
    place, complete = folder / kind, folder / f"{kind}.complete"
    if not complete.is_file():
        for number, sample in enumerate(KINDS[kind](np.random.default_rng(1))):
            for name, values in sample.items():
                (place / name).mkdir(parents=True, exist_ok=True)
                np.save(place / name / f"{number:03}.npy", values)
        complete.touch()
    names = [item.name for item in place.iterdir() if item.is_dir()]
    return place / names[0] if len(names) == 1 else place


def of_files(chosen: np.random.Generator) -> Iterator[Sample]:
    """Files of this Python, as magika's extractor cuts them: without blanks at the ends, to 2 x 1024 numbers."""
    found = sorted(path for path in Path(sysconfig.get_path("platlib")).rglob("*") if path.suffix in _SUFFIXES)
    for index in chosen.permutation(len(found))[:COUNT]:
        data = np.frombuffer(found[index].read_bytes().strip(), np.uint8).astype(np.int32)
        first = np.pad(data[:_HALF], (0, max(0, _HALF - len(data))), constant_values=_PADDING)
        last = np.pad(data[-_HALF:], (max(0, _HALF - len(data)), 0), constant_values=_PADDING)
        yield {"bytes": np.concatenate([first, last])[None]}


_SUFFIXES = {".py", ".so", ".pyc", ".txt", ".json", ".html", ".js", ".css", ".exe", ".h", ".png", ".toml", ".xml"}


def _sound(chosen: np.random.Generator, count: int) -> Any:
    time = np.arange(count) / RATE
    phase = 2 * np.pi * (chosen.uniform(90, 250) * time + chosen.uniform(-80, 80) * time**2)
    voice = sum(np.sin(k * phase) / k for k in range(1, 12)) * np.clip(np.sin(2 * np.pi * 3 * time + phase[-1]), 0, 1)
    loud = chosen.uniform(0, 0.3) * (chosen.random() < 0.7)
    return (loud * voice + chosen.normal(0, chosen.uniform(0.001, 0.02), count)).astype(np.float32)


def voices(chosen: np.random.Generator) -> Iterator[Sample]:
    """What silero-vad is given: 512 values behind the last 64, and its memory."""
    for _ in range(COUNT):
        state = chosen.normal(0, 0.3, (2, 1, 128)).clip(-1, 1).astype(np.float32)
        yield {"input": _sound(chosen, 576)[None], "state": state}


def waveforms(chosen: np.random.Generator) -> Iterator[Sample]:
    """A second of sound, and how long it is."""
    for _ in range(COUNT):
        yield {"waveforms": _sound(chosen, RATE)[None], "waveforms_lens": np.array([RATE], np.int64)}


def places(chosen: np.random.Generator) -> Iterator[Sample]:
    """Latitude, longitude and week of the year (1 to 48), as BirdNET asks."""
    for _ in range(COUNT):
        values = [chosen.uniform(-50, 70), chosen.uniform(-180, 180), chosen.integers(1, 49)]
        yield {"MNET_INPUT": np.array([values], np.float32)}


def letters(chosen: np.random.Generator) -> Iterator[Sample]:
    """Numbers of letters, some at the end being none, as nakdimon counts them."""
    for _ in range(COUNT):
        length = int(chosen.integers(20, 65))
        yield {"input_1": np.pad(chosen.integers(1, 40, length), (0, 64 - length)).astype(np.float32)[None]}


KINDS: Mapping[str, Callable[[np.random.Generator], Iterator[Sample]]] = {
    "bytes": of_files,
    "letters": letters,
    "places": places,
    "voices": voices,
    "waveforms": waveforms,
}
