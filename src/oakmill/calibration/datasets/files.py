"""Finds the files that can calibrate a quantization, and says of each why it cannot, if so."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError

import numpy as np

from oakmill.calibration import label_names
from oakmill.calibration.images import read_image
from oakmill.calibration.samples import SUFFIXES as READ
from oakmill.errors import OakmillError
from oakmill.spec import Encoding

ARRAYS = frozenset({".npy", ".raw"})
SUFFIXES = READ | ARRAYS


def is_image(path: Path) -> bool:
    """Whether a file is to be read as an image, by its name."""
    return path.suffix.lower() not in ARRAYS


def find_files(path: Path) -> tuple[Path, ...]:
    """All files in a folder and its sub-folders with a known suffix, sorted, but hidden ones and masks that label."""
    inside = (file for file in path.rglob("*") if not _is_hidden(file.relative_to(path)))
    return tuple(sorted((file for file in inside if is_known(file.name) and file.is_file()), key=Path.as_posix))


def is_known(name: str) -> bool:
    """Whether a file's suffix is one of images, .npy or .raw."""
    return Path(name).suffix.lower() in SUFFIXES


def _is_hidden(relative: Path) -> bool:
    return label_names.is_apart(relative) or any(part.startswith(".") for part in relative.parts)


def why(error: OakmillError, path: Path) -> str:
    """What an error says of a file, without its name and place."""
    return error.message.removeprefix(f"{path.name} ").replace(f" {str(path)!r}", "")


def problem(path: Path) -> str:
    """Why a file cannot calibrate anything, found by decoding it as a conversion does; empty if it can.

    Of a `.raw` only its size is looked at: what it holds is known once a model is.
    """
    try:
        if path.stat().st_size == 0:
            return "is empty"
        if not is_image(path):
            return _array_problem(path)
        read_image(path, (64, 64, 3), "HWC", Encoding.RGB, dtype=np.uint8)
    except OakmillError as error:
        return why(error, path)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return ""


def _array_problem(path: Path) -> str:
    if path.suffix.lower() == ".raw":
        return ""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, TokenError, OverflowError) as error:
        return f"cannot be read as an array: {error}"
    if array.dtype.kind not in "biuf":
        return f"holds {array.dtype}, not numbers"
    return "" if array.size else "holds no values"
