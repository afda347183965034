"""Looks at a calibration set: what the doctor says, how its channels are spread, and a small picture of each file."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oakmill.calibration.datasets.files import find_files, is_picture
from oakmill.calibration.datasets.zips import unpack
from oakmill.calibration.doctor import Diagnosis, Expectation, examine
from oakmill.calibration.images import FORMATS, read_image
from oakmill.errors import OakmillError
from oakmill.spec import Encoding, Precision

SIDE = 128
BINS = 32
MOST = 4096
THREADS = 4

Pixels = NDArray[np.uint8]


def answer(inside: Path, outside: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known of the set; of `diagnosis_only`, what the doctor says alone."""
    root, left_out = _root(inside, outside, request)
    files = find_files(root)
    diagnosis = _doctor(files, request.get("expected"))
    if request.get("diagnosis_only"):
        return {"doctor": diagnosis}
    with ThreadPoolExecutor(THREADS) as pool:
        seen = list(pool.map(_seen, files[:MOST]))
    return {
        "count": len(files),
        "left_out": left_out,
        "names": [path.relative_to(root).as_posix() for path in files],
        "sizes": [size for size, _ in seen],
        "small": [_jpeg(pixels) for _, pixels in seen],
        "histogram": _histogram([pixels for _, pixels in seen if pixels is not None]),
        "doctor": diagnosis,
    }


def _root(inside: Path, outside: Path, request: Mapping[str, Any]) -> tuple[Path, int]:
    """The folder of the set's files, and how many files of its zip are none."""
    if "folder" in request:
        return Path(request["folder"]), 0
    return outside / "set", len(unpack(inside / "set.zip", outside / "set", request["max_mb"]))


def _doctor(files: Sequence[Path], expected: Mapping[str, Any] | None) -> dict[str, Any]:
    found: Diagnosis = examine(files, _expectation(expected))
    return asdict(found) | {"verdict": found.verdict}


def _expectation(values: Mapping[str, Any] | None) -> Expectation | None:
    if values is None:
        return None
    lists = {name: tuple(values[name]) if values.get(name) else None for name in ("mean", "scale")}
    return Expectation(None, **lists, encoding=Encoding(values["encoding"]), precision=Precision(values["precision"]))


def _seen(path: Path) -> tuple[list[int] | None, Pixels | None]:
    """A file's width and height, and its middle made small; nothing of what is no picture, or damaged."""
    if not is_picture(path):
        return None, None
    try:
        pixels = read_image(path, (SIDE, SIDE, 3), "HWC", Encoding.RGB, dtype=np.uint8)
        with Image.open(path, formats=FORMATS) as image:
            return list(image.size), pixels
    except (OakmillError, OSError):
        return None, None


def _jpeg(pixels: Pixels | None) -> str:
    if pixels is None:
        return ""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=78)
    return base64.b64encode(buffer.getvalue()).decode()


def _histogram(pictures: Sequence[Pixels]) -> list[list[float]]:
    """For R, G and B, the share of pixels in each of BINS ranges of 0 to 255."""
    if not pictures:
        return []
    counts = np.zeros((3, BINS))
    for pixels in pictures:
        for channel in range(3):
            counts[channel] += np.bincount(pixels[..., channel].ravel() // (256 // BINS), minlength=BINS)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return [[round(float(value), 5) for value in row] for row in shares]
