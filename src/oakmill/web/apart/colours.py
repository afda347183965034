"""Feeds a model one picture in several ways, and tells what it sees each time: so wrong preprocessing is found."""

from __future__ import annotations

import base64
import io
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oakmill.calibration.datasets.files import find_files, is_picture
from oakmill.calibration.datasets.zips import unpack
from oakmill.calibration.images import read_image
from oakmill.calibration.samples import draw, generated
from oakmill.conversion.inputs import ResolvedInput, resolve
from oakmill.conversion.passport import Task, tasks_of
from oakmill.errors import NotFound, UnsupportedModel
from oakmill.graph import preprocessing, shapes
from oakmill.graph.equality import Session
from oakmill.graph.preprocessing import Preprocessing
from oakmill.model import load_onnx, merge_inputs, open_source, prefill
from oakmill.model.source import SourceFormat, SourceModel, Tensor
from oakmill.settings import Settings
from oakmill.spec import Encoding, InputSpec, Resize

SHOWN_SIDE = 320
SECONDS = 20.0
"""Further pictures are looked at for so long."""
_OUTPUTS = 4

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Way:
    """One way to feed a picture: its order of colours, what is subtracted, what it is divided by."""

    encoding: Encoding
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Way:
        """As the request has it."""
        return cls(Encoding(values["encoding"]), tuple(values["mean"]), tuple(values["scale"]))


class Subject:
    """A model with its inputs of fixed shape, ready to be run."""

    def __init__(self, source: SourceModel, asked: Sequence[InputSpec]) -> None:
        specs = merge_inputs(tuple(asked), prefill(source.archive, source.inputs)).inputs
        wanted = {
            str(spec.name): spec.shape or _usual(tensor) for spec, tensor in zip(specs, source.inputs, strict=True)
        }
        fixed = shapes.fix_input_shapes(load_onnx(source), {name: shape for name, shape in wanted.items() if shape})
        self.inputs = [
            resolve(spec, Tensor(tensor.name, wanted[tensor.name] or _batched(tensor), tensor.dtype))
            for spec, tensor in zip(specs, source.inputs, strict=True)
        ]
        self.picture = _picture_input(self.inputs)
        self._session = Session(fixed.model)
        sizes = dict(zip(self.picture.layout, self.picture.shape, strict=True))
        self.size = sizes["H"], sizes["W"]
        self.outputs = [Tensor(name, shape, "") for name, shape in self._session.output_shapes().items()]
        heads = ((source.archive or {}).get("model") or {}).get("heads")
        self.tasks: tuple[Task, ...] = tasks_of(self.outputs, heads, self.size)
        self._others = {
            item.name: next(generated(item.shape, item.layout, Encoding.NONE, 1, 0)).astype(item.dtype)
            for item in self.inputs
            if item is not self.picture
        }

    def run(self, path: Path, way: Way) -> Outputs:
        """What comes out of a picture that is fed so."""
        item = self.picture
        raw = read_image(path, item.shape, item.layout, way.encoding, resize=Resize.CROP)
        fed = preprocessing.apply(raw, Preprocessing(item.name, item.layout, way.mean or None, way.scale or None))
        return self._session.run({item.name: fed.astype(item.dtype), **self._others})

    def certainty(self, outputs: Outputs) -> float | None:
        """How sure it is, 0 to 1, where its outputs are of a known kind."""
        found = self.tasks[0].certainty(outputs) if self.tasks else math.nan
        return round(found, 6) if math.isfinite(found) else None


def answer(inside: Path, outside: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the model sees on the picture in each way, and how sure it is on further ones."""
    source = open_source(
        inside / request["model"], outside / "source", Settings(source_max_mb=request["source_max_mb"])
    )
    if source.format is not SourceFormat.ONNX:
        raise UnsupportedModel("Only ONNX is run here.", remedy="Upload the model as ONNX to see its colours.")
    subject = Subject(source, [InputSpec.model_validate(item) for item in request["inputs"]])
    pictures = _pictures(inside, outside, request)
    ways = [Way.of(item) for item in request["ways"]]
    firsts = [subject.run(pictures[0], way) for way in ways]
    sure = [[subject.certainty(outputs)] for outputs in firsts]
    further = _further(subject, pictures[1:], ways, sure)
    return {
        "input": {"name": subject.picture.name, "shape": subject.picture.shape, "channels": _channels(subject.picture)},
        "task": type(subject.tasks[0]).__name__ if subject.tasks else "",
        "images": 1 + further,
        "picture": _shown(pictures[0], subject.size),
        "ways": [
            {"sees": _sees(subject, outputs), "values": values} for outputs, values in zip(firsts, sure, strict=True)
        ],
    }


def _further(subject: Subject, pictures: Sequence[Path], ways: Sequence[Way], sure: list[list[float | None]]) -> int:
    """Add the certainty on further pictures, while there is time; how many were looked at."""
    deadline = time.monotonic() + SECONDS
    for count, path in enumerate(pictures):
        if time.monotonic() > deadline:
            return count
        for way, values in zip(ways, sure, strict=True):
            values.append(subject.certainty(subject.run(path, way)))
    return len(pictures)


def _sees(subject: Subject, outputs: Outputs) -> dict[str, Any]:
    """Classes or boxes with their scores; of other models, how each output's values lie."""
    if subject.tasks and hasattr(subject.tasks[0], "sees"):
        seen = subject.tasks[0].sees(outputs).seen
        return {"seen": [{"label": one.label, "score": _finite(one.score), "box": one.box} for one in seen]}
    return {"outputs": list(_statistics(outputs))}


def _statistics(outputs: Outputs) -> Iterator[dict[str, Any]]:
    for name, values in list(outputs.items())[:_OUTPUTS]:
        numbers = np.asarray(values, np.float64).ravel()
        low, mean, high, std = (
            _finite(float(value)) for value in (numbers.min(), numbers.mean(), numbers.max(), numbers.std())
        )
        yield {"name": name, "shape": list(values.shape), "low": low, "mean": mean, "high": high, "std": std}


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _pictures(inside: Path, outside: Path, request: Mapping[str, Any]) -> list[Path]:
    """The picture that is shown, and further ones of its set.

    Raises:
        NotFound: the set has no such picture.
    """
    if request.get("upload"):
        return [inside / request["upload"]]
    root = Path(request["folder"]) if "folder" in request else outside / "set"
    if "folder" not in request:
        unpack(inside / "set.zip", root, request["max_mb"])
    files = [path for path in find_files(root) if is_picture(path)]
    drawn = list(draw(files, len(files), 0))
    if not 0 <= request["number"] < len(drawn):
        raise NotFound(f"The set has {len(drawn)} pictures.", subject=str(request["number"]))
    chosen = drawn.pop(request["number"])
    return [chosen, *drawn[: request["further"]]]


def _shown(path: Path, size: tuple[int, int]) -> str:
    """The part of the picture that the model sees, in its proportions, as JPEG."""
    factor = SHOWN_SIDE / max(size)
    height, width = (max(1, round(side * factor)) for side in size)
    pixels = read_image(path, (height, width, 3), "HWC", Encoding.RGB, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode()


def _picture_input(inputs: Sequence[ResolvedInput]) -> ResolvedInput:
    found = next((item for item in inputs if item.is_image and {"H", "W"} <= set(item.layout)), None)
    if found is None:
        raise UnsupportedModel("No input of this model takes a picture.", remedy="Colours are a matter of pictures.")
    return found


def _channels(item: ResolvedInput) -> int:
    return item.shape[item.layout.index("C")] if "C" in item.layout else 1


def _batched(tensor: Tensor) -> tuple[int, ...]:
    """The shape with an open batch as 1."""
    return tuple(size if isinstance(size, int) else 1 for size in tensor.shape)


def _usual(tensor: Tensor) -> tuple[int, ...] | None:
    """Where a picture's height and width are open, a shape that most take; nothing where they are not."""
    if len(tensor.shape) != 4 or all(isinstance(size, int) for size in tensor.shape[1:]):
        return None
    sides = [1, *(size if isinstance(size, int) else SHOWN_SIDE for size in tensor.shape[1:])]
    return tuple(sides)
