"""Describes checkpoints of Ultralytics by the classes that their pickle names; nothing of it is opened here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from oakmill.errors import UnsafeSource
from oakmill.model import archives, pickles, torch_files
from oakmill.model.source import SourceFormat, SourceModel, Tensor
from oakmill.settings import Settings

MAX_RATIO = 10
"""How many times its size a checkpoint may unpack to; PyTorch packs nothing, so its own are at 1."""
_FREE_BYTES = 16 << 20

OTHER = "other"
"""A task that is not told apart here: all of Ultralytics' models take their images alike."""

_OURS = "ultralytics."
_BESIDE = re.compile(r"torchvision\.transforms\.|pathlib(\._local)?\.\w+Path$|(builtins|__builtin__)\.(getattr|slice)$")
"""What trained checkpoints name besides: a classifier's preprocessing, the trainer's folders, bound methods."""
_TASKS = {
    "ultralytics.nn.tasks.DetectionModel": "detect",
    "ultralytics.nn.tasks.YOLOv10DetectionModel": "detect",
    "ultralytics.nn.tasks.RTDETRDetectionModel": "detect",
    "ultralytics.nn.tasks.SegmentationModel": "segment",
    "ultralytics.nn.tasks.PoseModel": "pose",
    "ultralytics.nn.tasks.OBBModel": "obb",
    "ultralytics.nn.tasks.ClassificationModel": "classify",
}


def is_of_ultralytics(classes: Sequence[str]) -> bool:
    """Whether a pickle that names these classes is Ultralytics' work, and names nothing that is not needed for it."""
    return _is_ours(classes) and not _others(classes)


def strange(classes: Sequence[str]) -> str:
    """In words, what a checkpoint names that would be Ultralytics' but for that; nothing where it is none."""
    others = _others(classes) if _is_ours(classes) else []
    if not others:
        return ""
    return f"a checkpoint of Ultralytics that also names {', '.join(others[:3])}, which none of its models needs"


def read_checkpoint(path: Path, settings: Settings) -> SourceModel:
    """Describe the checkpoint at `path`; the size of its image, its names and outputs are known once it is exported.

    Raises:
        SourceError: the file cannot be read.
        UnsafeSource: it is larger than settings.source_max_mb, or unpacks to far more than it is.
    """
    size, digest = torch_files.measured(path, settings)
    unpacked = archives.zip_bytes(path)
    if unpacked > max(MAX_RATIO * size, _FREE_BYTES):
        raise UnsafeSource(
            f"{path.name} has {size >> 20} MB and would unpack to {unpacked >> 20} MB; PyTorch packs nothing",
            subject=str(path),
            remedy="Save it anew with torch.save.",
        )
    found = torch_files.zipped_checkpoint(path, archives.zip_names(path))
    tasks = (_TASKS[name] for name in (found.classes if found else ()) if name in _TASKS)
    task = next(tasks, OTHER)
    return SourceModel(
        format=SourceFormat.CHECKPOINT,
        graph=path,
        files=(path,),
        name=path.stem,
        sha256=digest,
        size=size,
        inputs=(Tensor(torch_files.ONLY_INPUT, (1, 3, None, None), "float32"),),
        outputs=(),
        producer="Ultralytics",
        metadata={"author": "Ultralytics", "task": task},
    )


def _is_ours(classes: Sequence[str]) -> bool:
    return any(name.startswith(_OURS) for name in classes)


def _others(classes: Sequence[str]) -> list[str]:
    """What is neither PyTorch's nor Ultralytics' nor beside it."""
    foreign = pickles.foreign(tuple(classes))
    return [name for name in foreign if not name.startswith(_OURS) and not _BESIDE.match(name)]
