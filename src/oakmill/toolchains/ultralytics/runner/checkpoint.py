"""A checkpoint of Ultralytics: loaded with none but its own classes, exported to ONNX, and run in PyTorch.

PyTorch's restricted loading builds what is on a list of classes and runs nothing else. It is the inner wall: what gets
past it is in the sandbox, with no network and one folder to write into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch  # type: ignore[import-not-found]
from frame import Refused
from ultralytics.engine.exporter import Exporter  # type: ignore[import-not-found]
from ultralytics.nn import tasks  # type: ignore[import-not-found]

_UNTRAINED = 640
"""Pixels of a side where no training says it: Ultralytics' own default."""
_NOT_ALLOWED = re.compile(r"(?:unsupported )?GLOBAL (\S+) (?:was not an allowed global|whose module)")
_NOTES_OF_THE_DAY = ("date", "docs")


class Checkpoint:
    """A loaded checkpoint.

    Raises:
        Refused: it cannot be loaded (`load`), or is of another kind of model (`task`).
    """

    def __init__(self, path: str) -> None:
        _define_operators()
        try:
            found, _ = tasks.torch_safe_load(path, safe_only=True)
        except Exception as error:
            raise Refused("load", _reason(error)) from error
        model = (found.get("ema") or found.get("model")) if isinstance(found, dict) else None
        if not isinstance(model, tasks.BaseModel):
            raise Refused("task", f"it holds {_kind(found, model)}")
        try:
            self._model, _ = tasks.load_checkpoint(path)
            self._stride = int(self._model.stride.max())
        except Exception as error:
            raise Refused("load", _reason(error)) from error

    def export(self, request: dict[str, Any]) -> dict[str, Any]:
        """Write it as ONNX, and run it on samples."""
        size, trained = request["size"] or self._trained_size(), request["size"] is None
        self._require_size(size)
        head = self._model.model[-1]
        chooses = getattr(head, "one2one_cv2", None) is not None
        asked = {
            "format": "onnx", "imgsz": size, "opset": request["opset"], "batch": 1, "simplify": False, "device": "cpu",
            "nms": False if chooses else None,  # the branch that needs no suppression, where there is one
        }  # fmt: skip
        exporter = Exporter(overrides=asked)
        try:
            written = Path(exporter(model=self._model))
        except Exception as error:
            raise Refused("conversion", _reason(error)) from error
        names = _tidied(written)
        _run(exporter.model, [1, self._channels, *size], request["samples"], request["seed"])
        return {"outputs": names, "size": size, "trained": trained, "chooses": chooses}

    @property
    def _channels(self) -> int:
        return int(self._model.yaml.get("channels", 3))

    def _trained_size(self) -> list[int]:
        said = self._model.args.get("imgsz") or _UNTRAINED
        height, *width = said if isinstance(said, (list, tuple)) else [said]
        return [int(height), int(width[0]) if width else int(height)]

    def _require_size(self, size: list[int]) -> None:
        """Ultralytics' exporter takes the next larger one in silence."""
        if any(length % self._stride for length in size):
            raise Refused(
                "size",
                f"an image of {size[0]} x {size[1]} pixels does not divide into cells of {self._stride}",
                larger=[-(-length // self._stride) * self._stride for length in size],
            )


def _define_operators() -> None:
    """Classifiers' checkpoints name their preprocessing, which is torchvision's; nothing here computes with it.

    Its build for GPUs does not load its operators beside the CPU's PyTorch, and looks for two of them when Ultralytics
    imports it.
    """
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(library)


_KEPT: list[Any] = []
"""A library's operators go when it does."""


def _run(model: Any, shape: list[int], count: int, seed: int) -> None:
    """What the exported model computes in PyTorch from noise, pixels in 0 to 1."""
    random = np.random.RandomState(seed)
    samples = [random.rand(*shape).astype(np.float32) for _ in range(count)]
    with torch.inference_mode():
        answers = [list(_flat(model(torch.from_numpy(sample)))) for sample in samples]
    _save("samples.npz", [[sample] for sample in samples])
    _save("outputs.npz", answers)


def _save(path: str, runs: list[list[Any]]) -> None:
    """The arrays of each sample, by "PORT/SAMPLE"."""
    np.savez(path, **{f"{port}/{i}": values for i, run in enumerate(runs) for port, values in enumerate(run)})


def _flat(answer: Any) -> Iterator[Any]:
    if isinstance(answer, torch.Tensor):
        yield answer.numpy()
    elif isinstance(answer, (list, tuple)):
        for item in answer:
            yield from _flat(item)


def _tidied(path: Path) -> list[str]:
    """The outputs' names; what differs from one export to the next is taken out of the file."""
    graph = onnx.load(str(path))
    kept = [item for item in graph.metadata_props if item.key not in _NOTES_OF_THE_DAY]
    del graph.metadata_props[:]
    graph.metadata_props.extend(kept)
    onnx.save(graph, str(path))
    return [item.name for item in graph.graph.output]


def _kind(found: Any, model: Any) -> str:
    """What is in the place of a model."""
    if isinstance(model, dict):
        return "weights alone, without the network that they belong to"
    if isinstance(found, dict) and model is None:
        return f"no model, but {', '.join(sorted(map(str, found))[:5]) or 'nothing'}"
    return f"a {type(found if model is None else model).__name__}, which is no model of Ultralytics"


def _reason(error: BaseException) -> str:
    """Why, in one line: the class that may not be built, else what the deepest cause says first."""
    deepest = error
    while deepest.__cause__ is not None or deepest.__context__ is not None:
        deepest = deepest.__cause__ or deepest.__context__  # type: ignore[assignment]
        if refused := _NOT_ALLOWED.search(str(deepest)):
            return f"it names {refused[1]}, which is not among what may be built of a checkpoint"
    lines = [line.strip() for line in str(deepest).splitlines() if line.strip()]
    return f"{type(deepest).__name__}: {lines[0][:300]}" if lines else type(deepest).__name__
