"""Holds what an artefact's documents say against the file itself: digests, kind, boundary, what the reader found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oakmill.conversion.finished import Found
from oakmill.conversion.output.differences import fields
from oakmill.conversion.verify.artefact import BUILD, CONFIG, FRESH, Artefact
from oakmill.files import file_sha256
from oakmill.findings import Finding, Severity
from oakmill.model.source import Tensor
from oakmill.spec.platforms import PLATFORMS

_FROM_BYTES = ("base_bytes", "patch_bytes", "is_superblob", "inputs", "outputs", "snpe_version", "prepared_cache")
"""What of the build info is read off the file itself, and not told of how it was made."""
_PART = "sha256 of "


def of_bytes(artefact: Artefact) -> Iterator[Finding]:
    """Whether the file and its parts are those that the recipe records, and of the kind that it names."""
    recipe = artefact.recipe
    if recipe is None:
        return
    if artefact.kind and artefact.kind != artefact.platform:
        titles = [PLATFORMS[name].title if name in PLATFORMS else name for name in (artefact.platform, artefact.kind)]
        yield _changed(
            "other_platform",
            f"the recipe is of a conversion to {titles[0]}, and {artefact.file.name} is a file for {titles[1]}",
            "Another platform's file",
            artefact.file.name,
        )
    if (digest := file_sha256(artefact.file)) != recipe.artefact.get("sha256"):
        yield _changed(
            "bytes_changed",
            f"{artefact.file.name} has the sha256 {digest[:16]}…, the recipe records "
            f"{recipe.artefact.get('sha256', 'none')[:16]}…: these are not the bytes that were made",
            "The file has changed",
            artefact.file.name,
        )
    yield from _of_parts(artefact, recipe.artefact)


def _of_parts(artefact: Artefact, recorded: Mapping[str, str]) -> Iterator[Finding]:
    """By the ending, as a bare file may have been renamed together with its parts."""
    there = {part.suffix: part for part in artefact.parts}
    for key, digest in recorded.items():
        if not key.startswith(_PART):
            continue
        name = key.removeprefix(_PART)
        part = there.get(f".{name.rpartition('.')[2]}")
        if part is None:
            yield _changed("part_missing", f"{name}, which belongs to it, is not there", "A part is missing", name)
        elif file_sha256(part) != digest:
            said = f"{part.name} is not the one that was made: its sha256 is another than the recipe's"
            yield _changed("bytes_changed", said, "A part has changed", part.name)


def of_contents(artefact: Artefact, found: Found, build_info: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether config.json and buildinfo.json say of the file what its vendor's reader does.

    Args:
        artefact: with its documents; nothing is said of those that are not there.
        found: what the reader found.
        build_info: what the platform says of this file now.
    """
    model = artefact.config.get("model")
    for side, tensors in (("inputs", found.inputs), ("outputs", found.outputs)):
        listed = model.get(side) if isinstance(model, Mapping) else None
        if isinstance(listed, list):
            yield from _of_boundary(side.removesuffix("s"), listed, tensors)
    for key in _FROM_BYTES:
        if key in artefact.build and key in build_info and not _same(artefact.build[key], build_info[key]):
            said = f"{BUILD} gives {key} as {_short(artefact.build[key])}; of this file it is {_short(build_info[key])}"
            yield _changed("documents_disagree", said, "The build info is of another file", BUILD)


def _of_boundary(kind: str, listed: Sequence[Any], tensors: Sequence[Tensor]) -> Iterator[Finding]:
    """Names, numbers of values and types of what config.json lists."""
    stated = {str(item.get("name")): item for item in listed if isinstance(item, Mapping)}
    read = {tensor.name: tensor for tensor in tensors}
    if set(stated) != set(read):
        said = f"{CONFIG} lists the {kind}s {', '.join(sorted(stated))}; the file has {', '.join(sorted(read))}"
        yield _changed("documents_disagree", said, f"Other {kind}s than stated", CONFIG)
        return
    for name, item in stated.items():
        shape, dtype, tensor = item.get("shape"), item.get("dtype"), read[name]
        sizes = [size for size in tensor.shape if isinstance(size, int)]
        other_shape = isinstance(shape, list) and len(sizes) == len(tensor.shape) and _count(shape) != math.prod(sizes)
        if other_shape or (dtype and dtype != tensor.dtype):
            said = f"{CONFIG} states {kind} {name!r} as {dtype} of {shape}; the file has {tensor.dtype} of {sizes}"
            yield _changed("documents_disagree", said, f"Another {kind} than stated", CONFIG)


def _count(shape: Sequence[Any]) -> int:
    return math.prod(size for size in shape if isinstance(size, int))


def _same(stated: Any, now: Any) -> bool:
    return dict(fields(stated)) == dict(fields(now))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def _changed(code: str, message: str, title: str, subject: str) -> Finding:
    return Finding(code, Severity.ERROR, message, title=title, remedy=FRESH, subject=subject)
