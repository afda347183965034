"""Looks at a calibration set: what the doctor says, how its channels are spread, and a small image of each file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oakmill.calibration.datasets.files import find_files, is_image
from oakmill.calibration.datasets.zips import unpack
from oakmill.calibration.doctor import FILES, Diagnosis, examine
from oakmill.calibration.images import FORMATS, read_image
from oakmill.calibration.labels import BadLabels, labels_of
from oakmill.errors import OakmillError
from oakmill.spec import Encoding
from oakmill.untrusted.folder import Place
from oakmill.untrusted.questions import SET_FOLDER, SET_ZIP, ExamineSet, SetFacts

SIDE = 128
BINS = 32
FEW, MOST = 24, 4096
THREADS = 4

Pixels = NDArray[np.uint8]


def examine_set(asked: ExamineSet, place: Place) -> SetFacts:
    """What is known of the set.

    Raises:
        UnsafeSource, SourceError: it cannot be unpacked, or is empty.
    """
    root, left_out = root_of(place)
    files = find_files(root)
    with ThreadPoolExecutor(THREADS) as pool:
        seen = list(pool.map(_seen, _shown(files, asked.images)))
    return SetFacts(
        count=len(files),
        left_out=left_out,
        doctor=_within(root, examine(files, asked.expected)),
        names=tuple(path.relative_to(root).as_posix() for path in files),
        sizes=tuple(size for size, _ in seen),
        images=tuple(jpeg(pixels) if pixels is not None else "" for _, pixels in seen),
        histogram=_histogram([pixels for _, pixels in seen if pixels is not None]),
        labels=_labels(root, files),
    )


def _within(root: Path, found: Diagnosis) -> Diagnosis:
    """A diagnosis whose findings name files by their place in the set."""
    findings = []
    for item in found.findings:
        named = [Path(name).relative_to(root).as_posix() for name in item.evidence.get(FILES, ())]
        findings.append(replace(item, evidence={**item.evidence, FILES: named}) if named else item)
    return replace(found, findings=tuple(findings))


def _labels(root: Path, files: Sequence[Path]) -> str:
    try:
        found = labels_of(root, [path for path in files if is_image(path)])
    except BadLabels as error:
        return f"not used: {error.message}"
    return "; ".join((found.words, *found.notes)) if found else ""


def root_of(place: Place) -> tuple[Path, int]:
    """The folder of the set's files, and how many files of its zip are none.

    Raises:
        UnsafeSource, SourceError: as `zips.unpack`.
    """
    folder = place.files / SET_FOLDER
    if folder.is_dir():
        return folder, 0
    root = place.scratch / SET_FOLDER
    return root, len(unpack(place.files / SET_ZIP, root, place.settings.datasets_max_mb))


def _shown(files: Sequence[Path], which: str) -> Sequence[Path]:
    if which == "few":
        return files[:: max(1, len(files) // FEW)][:FEW]
    return files[:MOST] if which == "all" else ()


def _seen(path: Path) -> tuple[tuple[int, int] | None, Pixels | None]:
    """A file's width and height, and its middle made small; nothing of what is no image, or damaged."""
    if not is_image(path):
        return None, None
    try:
        pixels = read_image(path, (SIDE, SIDE, 3), "HWC", Encoding.RGB, dtype=np.uint8)
        with Image.open(path, formats=FORMATS) as image:
            return image.size, pixels
    except (OakmillError, OSError):
        return None, None


def jpeg(pixels: Pixels) -> str:
    """A JPEG in base64 of pixels [height, width, RGB]."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()


def _histogram(images: Sequence[Pixels]) -> tuple[tuple[float, ...], ...]:
    """For R, G and B, the share of pixels in each of BINS ranges of 0 to 255."""
    if not images:
        return ()
    counts = np.zeros((3, BINS))
    for pixels in images:
        for channel in range(3):
            counts[channel] += np.bincount(pixels[..., channel].ravel() // (256 // BINS), minlength=BINS)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return tuple(tuple(round(float(value), 5) for value in row) for row in shares)
