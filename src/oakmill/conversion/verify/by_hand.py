"""Packs a file that somebody else made into an NN Archive: with their config, or one made of what the file says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Progress
from oakmill.conversion.inputs import guess_layout, match
from oakmill.conversion.output import nn_archive, publish
from oakmill.conversion.verify.again import Look
from oakmill.conversion.verify.artefact import open_artefact
from oakmill.errors import SourceError, SpecError
from oakmill.files import plain_name
from oakmill.model import open_source
from oakmill.model.sniff import identify
from oakmill.model.source import SourceFormat, Tensor
from oakmill.settings import Settings
from oakmill.spec import Encoding, InputSpec

_COLOURS = 3
_LARGEST = 1 << 20
_HALF = {"rvc2": "float16", "rvc3": "float16"}


@dataclass(frozen=True)
class Packed:
    """The archive, and its config."""

    file: Path
    config: Mapping[str, Any]


@dataclass(frozen=True)
class _Seen:
    """What there is to pack: the files, the model first, its tensors, and what its weights are stored in."""

    files: tuple[Path, ...]
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    precision: str | None = None


def pack(
    path: Path,
    output: Path,
    *,
    settings: Settings,
    name: str = "",
    given: Path | None = None,
    asked: Sequence[InputSpec] = (),
    overwrite: bool = False,
) -> Packed:
    """Write the archive into the folder `output`.

    Args:
        path: a source or a converted file, bare.
        output: the folder that it is written into.
        settings: where the vendors' readers are.
        name: what the model is called; by default as its file.
        given: a config.json to take as it is, but for the model's path.
        asked: what the model is fed, where no config says it: layout, mean, scale, colours.
        overwrite: whether a file of that name is replaced.

    Raises:
        NotAModel, SourceError: it is no model, or an archive already; the config cannot be read.
        SpecError: what is asked does not fit the model's inputs; the config is not one of luxonis-ml's schema.
        OutputExists, OutputError: as `publish.publish`.
    """
    with publish.work_folder() as work:
        seen = _seen(path, work, settings, reads=given is None)
        called = name or (path.stem if identify(path).compiled else plain_name(path))
        config = _given(given, path) if given else _made(seen, called, path, asked)
        if name:
            config["model"]["metadata"]["name"] = name
        nn_archive.require_valid(config)
        made = work / f"{called}.tar.xz"
        nn_archive.write_archive(made, seen.files[0], {"config.json": nn_archive.as_json(config)}, seen.files[1:])
        (written,) = publish.publish({made.name: made}, output, overwrite=overwrite)
    return Packed(written, config)


def _seen(path: Path, work: Path, settings: Settings, *, reads: bool) -> _Seen:
    found = identify(path)
    if found.format is SourceFormat.NN_ARCHIVE:
        raise SourceError(f"{path.name} is an NN Archive already", subject=path.name)
    if not found.compiled:
        source = open_source(path, work / "source", settings)
        return _Seen(source.files, source.inputs, source.outputs, "float32")
    if not reads:
        return _Seen((path,))
    with Depthai(work / "depthai", settings) as depthai:
        look = Look(open_artefact(path, work, settings), None, work, settings, Progress())
        look.at_contents(depthai)
        if look.found is None:
            look.result().require()
        assert look.found is not None
        return _Seen((path,), look.found.inputs, look.found.outputs, _HALF.get(found.compiled))


def _given(file: Path, model: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MB")
        config = json.loads(file.read_bytes())
        config["model"]["metadata"]["path"] = model.name
    except (OSError, ValueError, RecursionError, TypeError, KeyError) as error:
        raise SourceError(f"{file.name} is no config of an NN Archive: {error!r}", subject=file.name) from error
    return dict(config)


def _made(seen: _Seen, name: str, path: Path, asked: Sequence[InputSpec]) -> dict[str, Any]:
    specs = match(asked, seen.inputs)
    return {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": name, "path": path.name, "precision": seen.precision},
            "inputs": [_input(item, specs[item.name]) for item in seen.inputs],
            "outputs": [{"name": item.name, "dtype": _dtype(item), "shape": _fixed(item)} for item in seen.outputs],
            "heads": [],
        },
    }


def _dtype(item: Tensor) -> str:
    return {"bool": "boolean"}.get(item.dtype, item.dtype)


def _fixed(item: Tensor, asked: Sequence[int] | None = None) -> list[int]:
    """The shape in whole numbers: what is open is 1, as of the batch."""
    return list(asked or (size if isinstance(size, int) else 1 for size in item.shape))


def _input(item: Tensor, asked: InputSpec) -> dict[str, Any]:
    shape = _fixed(item, asked.shape)
    layout = asked.layout or guess_layout(shape)
    if len(layout) != len(shape):
        raise SpecError(f"input {item.name!r} has {len(shape)} dimensions, layout {layout} has {len(layout)}")
    channels = shape[layout.index("C")] if "C" in layout else 1
    is_image = {"H", "W"} <= set(layout) and channels in (1, _COLOURS) and asked.encoding_from is not Encoding.NONE
    return {
        "name": item.name,
        "dtype": _dtype(item),
        "input_type": "image" if is_image else "raw",
        "shape": shape,
        "layout": layout,
        "preprocessing": {
            "mean": _values(asked.mean_values, channels),
            "scale": _values(asked.scale_values, channels),
            "dai_type": _camera(asked, layout, channels) if is_image else None,
        },
    }


def _values(values: Sequence[float] | None, channels: int) -> list[float] | None:
    if values is None:
        return None
    if len(values) not in (1, channels):
        raise SpecError(f"{len(values)} values were given for {channels} channels", remedy="give one for each")
    return list(values) * (channels if len(values) == 1 else 1)


def _camera(asked: InputSpec, layout: str, channels: int) -> str:
    """depthai's name of the frames that the model takes; a file's colours are BGR where nobody says otherwise."""
    if channels == 1:
        return "GRAY8"
    colour = asked.encoding_to or asked.encoding_from or Encoding.BGR
    return f"{colour}888{'p' if layout.index('C') < layout.index('W') else 'i'}"
