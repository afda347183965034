"""A .pt is routed by what its pickle names, and what would run other code is never opened."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from oakmill.errors import NotAModel, UnsafeSource
from oakmill.model import open_source
from oakmill.model.sniff import sniff
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.settings import current
from oakmill.toolchains.torchscript import tiny
from tests.unit.model.test_torch_files import Hostile, checkpoint, named

DETECTOR = ("ultralytics.nn.tasks.DetectionModel", "torch.nn.modules.conv.Conv2d", "collections.OrderedDict")


def read(path: Path) -> SourceModel:
    return open_source(path, path.parent / "work", current())


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("DetectionModel", "detect"),
        ("YOLOv10DetectionModel", "detect"),
        ("SegmentationModel", "segment"),
        ("PoseModel", "pose"),
        ("OBBModel", "obb"),
        ("ClassificationModel", "classify"),
        ("WorldModel", "other"),
        ("DepthModel", "other"),
    ],
)
def test_a_checkpoint_of_ultralytics_is_one_and_says_its_task(tmp_path: Path, kind: str, task: str) -> None:
    """Those of further tasks said nothing, so that their images were not divided by 255."""
    path = checkpoint(tmp_path / "best.onnx", named(f"ultralytics.nn.tasks.{kind}", *DETECTOR[1:]))
    assert sniff(path) is SourceFormat.CHECKPOINT
    source = read(path)
    assert source.metadata == {"author": "Ultralytics", "task": task}
    assert [(item.name, item.shape) for item in source.inputs] == [("images", (1, 3, None, None))]


def test_what_a_trainer_leaves_in_it_does_not_matter(tmp_path: Path) -> None:
    beside = ("pathlib.PosixPath", "torchvision.transforms.transforms.Compose", "__builtin__.getattr", "numpy.dtype")
    assert sniff(checkpoint(tmp_path / "best.pt", named(*DETECTOR, *beside))) is SourceFormat.CHECKPOINT


@pytest.mark.parametrize("other", ["os.system", "builtins.eval", "socket.socket", "somebody.Layer"])
def test_a_checkpoint_that_names_anything_else_is_refused_with_the_name(tmp_path: Path, other: str) -> None:
    path = checkpoint(tmp_path / "best.pt", named(*DETECTOR, other))
    with pytest.raises(NotAModel, match=f"also names {other}, which none of its models needs"):
        sniff(path)


def test_a_checkpoint_of_another_repository_is_refused_with_its_own_exporter(tmp_path: Path) -> None:
    """The repository of YOLOv5 pickles classes of a module `models`, which only that repository has."""
    with pytest.raises(NotAModel, match=r"needs models\.yolo\.DetectionModel") as caught:
        sniff(checkpoint(tmp_path / "yolov5s.pt", named("models.yolo.DetectionModel")))
    assert "export.py --weights yolov5s.pt" in caught.value.remedy


def test_a_module_with_the_same_ending_stays_a_module(tmp_path: Path) -> None:
    assert sniff(tiny.write_model(tmp_path / "best.pt")) is SourceFormat.TORCHSCRIPT


def test_a_file_that_ends_too_early_is_damaged(tmp_path: Path) -> None:
    """A download that broke off has no list of contents, which stands at a zip's end; it was "without a model"."""
    whole = checkpoint(tmp_path / "whole.pt", named(*DETECTOR)).read_bytes()
    (tmp_path / "best.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NotAModel, match="a zip whose end is missing or damaged"):
        sniff(tmp_path / "best.pt")


def test_a_file_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("best/data.pkl", named(*DETECTOR))
        archive.writestr("best/data/0", bytes(32 << 20))
    with pytest.raises(UnsafeSource, match="would unpack to 32 MB"):
        read(path)


def test_describing_one_opens_nothing(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    with pytest.raises(NotAModel):
        sniff(checkpoint(tmp_path / "bad.pt", pickle.dumps([Hostile(target)], 2)))
    assert not target.exists()
