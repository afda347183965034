"""Says what decides the bytes of a conversion, quickly: no model is read and no large library loaded for it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import oakmill
from oakmill.errors import ToolchainMissing
from oakmill.files import expanded, file_sha256
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, QuantizingSpec
from oakmill.spec.platforms import PLATFORMS
from oakmill.toolchains import environments

PACKAGES = ("onnx", "onnxruntime", "onnxslim", "numpy", "pillow", "luxonis-ml", "depthai")
"""Packages that change graphs, read images or write results."""

_HAS_A_SAY = ("spec", "model", "graph", "calibration", "heads", "preflight", "toolchains", "conversion")
"""Parts of Oakmill that decide a result's bytes; the hub and the commands around them do not."""
_FILES_AT_ONCE = 4

Digests = Mapping[str, str]


@lru_cache(maxsize=1)
def code() -> str:
    """sha256 over Oakmill's own code, which decides bytes as any tool does."""
    root = Path(oakmill.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for part in _HAS_A_SAY for path in (root / part).rglob("*")):
        name = path.relative_to(root)
        if "__pycache__" in name.parts or not path.is_file():
            continue
        data = path.read_bytes()
        digest.update(f"{name.as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def packages() -> dict[str, str]:
    """Versions of the packages that have a say; without what is not installed. A hub asks at each request."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def maker() -> dict[str, Any]:
    """All of Oakmill that decides bytes."""
    return {"oakmill": oakmill.__version__, "code": code(), "packages": packages()}


def uses_own_tools(spec: ConversionSpec, settings: Settings) -> bool:
    """Whether a vendor's tools of the user's own may take part, of which nobody knows when they change."""
    return any(getattr(settings, name) for name in PLATFORMS[spec.platform].own_tools)


def toolchains(names: Sequence[str], settings: Settings) -> dict[str, str] | None:
    """The digests of installed toolchains; None where one is not there, or not whole."""
    try:
        found = {name: environments.load(name, settings) for name in names}
    except ToolchainMissing:
        return None
    return {name: item.digest for name, item in found.items() if item} if all(found.values()) else None


def spec_of(spec: ConversionSpec, settings: Settings) -> dict[str, Any] | None:
    """Every parameter, with the contents of the files that it names; None where that cannot be told.

    Test images appear in the result by their contents and their folder's name, all others by their path too.
    """
    found: dict[str, Any] = spec.model_dump(mode="json")
    contents: dict[str, Any] = {}
    is_float = isinstance(spec, QuantizingSpec) and spec.target_precision.is_float
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        if name == "quantization_data":
            contents[name] = {} if is_float else _data(value, settings)
        elif isinstance(value, Path):
            contents[name] = _tree(value)
    if spec.verification_images is not None:
        found["verification_images"] = spec.verification_images.name or spec.verification_images.resolve().name
    return None if None in contents.values() else {**found, "contents": contents}


def _data(value: str | None, settings: Settings) -> dict[str, Any] | None:
    """All that a conversion's quantization data may mean: a set of that name, or a path."""
    word = value or "general"
    places = [expanded(word)]
    if "/" not in word and not word.startswith((".", "~")):
        places += [settings.datasets / name for name in dict.fromkeys((word, word.lower()))]
    trees = {str(index): _tree(place) for index, place in enumerate(places) if place.exists()}
    return None if None in trees.values() else {name: tree for name, tree in trees.items() if tree is not None}


def _tree(path: Path) -> Digests | None:
    """sha256 by name of a file, or of all files in a folder; None where there is nothing, or links lead elsewhere."""
    try:
        if not path.is_dir():
            return {path.name: file_sha256(path)}
        files = list(_files(path))
        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            digests = pool.map(file_sha256, files)
            return {file.relative_to(path).as_posix(): digest for file, digest in zip(files, digests, strict=True)}
    except OSError:
        return None


def _files(folder: Path) -> Iterator[Path]:
    """All files in a folder and its sub-folders, sorted; hidden ones are left out, as conversions do.

    Raises:
        OSError: a sub-folder is a link, behind which nobody looks here.
    """
    for here, folders, names in os.walk(folder, onerror=_stop):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any((Path(here) / name).is_symlink() for name in folders):
            raise OSError("a folder is a link")
        yield from (Path(here) / name for name in sorted(names) if not name.startswith("."))


def _stop(error: OSError) -> None:
    raise error
