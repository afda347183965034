"""The smallest detector that Ultralytics' exporter takes, for the toolchain's own verification."""

from __future__ import annotations

from typing import Any

import torch  # type: ignore[import-not-found]
from ultralytics.nn.tasks import DetectionModel  # type: ignore[import-not-found]

NAMES = {0: "acorn", 1: "oak"}
_LAYERS = [[-1, 1, "Conv", [width, 3, 2]] for width in (16, 16, 32, 32, 64)]
_HEAD = [[[2, 3, 4], 1, "Detect", ["nc"]]]


def make(path: str) -> dict[str, Any]:
    """Write its checkpoint, as a training on images of 64 x 96 would."""
    torch.manual_seed(0)
    model = DetectionModel({"nc": len(NAMES), "backbone": _LAYERS, "head": _HEAD}, ch=3, verbose=False)
    model.names = NAMES
    torch.save({"model": model, "train_args": {"imgsz": [64, 96]}}, path)
    return {}
