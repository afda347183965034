"""The vendor's own parsers in their process: heads that say something wrong come out as findings, by name."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

from oakmill.conversion.camera_app import CameraApp
from oakmill.conversion.passport import HeldOut, Passport
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.sources.camera_heads import Original
from oakmill.graph import equality
from oakmill.heads.families import anchored
from oakmill.heads.families.base import Evidence
from oakmill.settings import current
from tests.unit.heads.families.test_anchored_masks import MASKS
from tests.unit.heads.families.test_anchored_masks import export as masks_beside_anchors

pytestmark = pytest.mark.heavy

SIDE, STRIDES = 64, (8, 16, 32)
ANCHORS = [[[10.0, 13.0], [16.0, 30.0]], [[30.0, 61.0], [62.0, 45.0]], [[48.0, 50.0], [56.0, 60.0]]]
CLASSES = ["cat", "dog", "tree"]


def yolo(subtype: str, **metadata: object) -> dict[str, Any]:
    names = [f"output{place}_{subtype}" for place in (1, 2, 3)]
    known = {"yolo_outputs": names, "subtype": subtype, "classes": CLASSES, "n_classes": 3, "anchors": None}
    limits = {"iou_threshold": 0.5, "conf_threshold": 0.5, "max_det": 300}
    return {"parser": "YOLO", "outputs": names, "metadata": {**known, **limits, **metadata}}


V5, V6 = yolo("yolov5", anchors=ANCHORS), yolo("yolov6r2")
TEXT = {
    "parser": "ClassificationSequenceParser",
    "outputs": ["steps"],
    "metadata": {"classes": ["-", "a", "class 2"], "n_classes": 3, "is_softmax": True, "ignored_indexes": [0]},
}
READ = {**TEXT, "metadata": {**TEXT["metadata"], "remove_duplicates": True, "concatenate_classes": True}}  # type: ignore[dict-item]
PIXELS = {
    "parser": "SegmentationParser",
    "outputs": ["mask"],
    "metadata": {"classes": ["x"], "n_classes": 1, "is_softmax": False, "background_class": False},
}
MASK = {**PIXELS, "metadata": {**PIXELS["metadata"], "classes_in_one_layer": True}}  # type: ignore[dict-item]
SCORES = {
    "parser": "ClassificationParser",
    "outputs": ["scores"],
    "metadata": {"classes": CLASSES, "n_classes": 3, "is_softmax": True},
}


def outputs_of(head: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Numbers as such a network gives them: few cells are sure of something."""
    random = np.random.default_rng(seed)
    if head["parser"] == "ClassificationParser":
        scores = np.exp(random.normal(size=(1, 3)) * 3)
        return {"scores": (scores / scores.sum()).astype(np.float32)}
    if head["parser"] == "ClassificationSequenceParser":
        steps = np.exp(random.normal(size=(1, 9, 3)) * 4)
        return {"steps": (steps / steps.sum(axis=2, keepdims=True)).astype(np.float32)}
    if head["parser"] == "SegmentationParser":
        return {"mask": random.integers(0, 2, (1, 8, 8), dtype=np.int32)}
    anchors = 2 if head["metadata"]["anchors"] else 1
    found = {}
    for name, stride in zip(head["outputs"], STRIDES, strict=True):
        cells = SIDE // stride
        values = random.random((anchors, 8, cells, cells)) * 0.4
        sure = random.random((anchors, cells, cells)) < 0.2
        values[:, 4], values[:, 5] = np.where(sure, 0.95, 0.1), np.where(sure, 0.9, 0.1)
        values[:, 6] = np.where(sure & (random.random(sure.shape) < 0.5), 0.99, 0.1)
        if anchors == 1:
            values[:, :4] = 0.6 + random.random((1, 4, cells, cells))
            values[:, 4] = values[:, 5:].max(axis=1)
        found[name] = values.reshape(1, -1, cells, cells).astype(np.float32)
    return found


@dataclass
class Given:
    """The part of a prepared model that the app reads: what the source's heads are, and the image's size."""

    heads: Sequence[Mapping[str, Any]]
    names: Mapping[str, str] = field(default_factory=dict)
    boundary: tuple[Any, ...] = (SimpleNamespace(is_image=True, layout="NCHW", shape=(1, 3, SIDE, SIDE)),)


def archive(path: Path, head: Mapping[str, Any], outputs: Mapping[str, Any]) -> Path:
    """An NN Archive for RVC4, whose file depthai passes on unread."""
    preprocessing = {"mean": [0.0] * 3, "scale": [1.0] * 3, "dai_type": "BGR888p"}
    image = {"name": "images", "dtype": "uint8", "input_type": "image", "shape": [1, 3, SIDE, SIDE], "layout": "NCHW"}
    model = {
        "metadata": {"name": "m", "path": "m.dlc", "precision": "float16"},
        "inputs": [{**image, "preprocessing": preprocessing}],
        "outputs": [{"name": name, "dtype": "float32"} for name in outputs],
        "heads": [head],
    }
    with tarfile.open(path, "w:xz") as packed:
        config = json.dumps({"config_version": "1.0", "model": model}).encode()
        for name, data in (("config.json", config), ("m.dlc", b"x")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
    return path


def told(
    tmp_path: Path, right: Mapping[str, Any], written: Mapping[str, Any], renamed: Mapping[str, str] | None = None
) -> Passport:
    """What is told of a source with one head, whose finished archive says another, or whose outputs changed names."""
    images = [outputs_of(right, seed) for seed in range(2)]
    finished = archive(tmp_path / "m.tar.xz", written, images[0])
    app = CameraApp(finished, cast(Prepared, Given([right])), frozenset(), tmp_path / "app", current())
    with app:
        for place, outputs in enumerate(images):
            given = {(renamed or {}).get(name, name): values for name, values in outputs.items()}
            app.add(f"image {place}", {}, outputs, given)
        return app.told(Passport("rvc4", HeldOut("images")))


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    """depthai takes the classes of pixels as integers only: as floats, its parser ended."""
    passport = told(tmp_path, MASK, MASK)
    assert passport.findings == ()
    assert passport.parsers[0].note == "it answers; what it says is compared with nothing"


@dataclass
class Shown(Given):
    """The same, of a network that takes its image as it is."""

    def feeds(self, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        return raw


def with_calm_boxes(model: ModelProto, width: int) -> ModelProto:
    """The detector with masks whose boxes are about as large as their anchors, some sure: random ones are narrower than
    a cell of masks, on which depthai aborts."""
    for place in range(len(STRIDES)):
        weight = next(item for item in model.graph.initializer if item.name == f"grid{place}/conv/weight")
        rows = numpy_helper.to_array(weight).reshape(3, width, -1).copy()
        rows[:, 2:4] *= 0.1
        weight.CopyFrom(numpy_helper.from_array(rows.reshape(3 * width, -1, 1, 1), weight.name))
        bias = np.zeros((3, width), np.float32)
        bias[:, 2:5] = 0.6
        model.graph.initializer.append(numpy_helper.from_array(bias.ravel(), f"bias{place}"))
        next(node for node in model.graph.node if node.output[0] == f"grid{place}/conv").input.append(f"bias{place}")
    return model


def test_masks_beside_anchors_are_read_as_the_source_sees(tmp_path: Path) -> None:
    """depthai looks a box' coefficients up by its cell, where YOLO v5 has three boxes: each anchor has maps of its own,
    and boxes, order of outputs and masks have to come out."""
    model = with_calm_boxes(masks_beside_anchors(), 5 + 4 + MASKS)
    found = anchored.find(model, Evidence({}, (SIDE, SIDE)))
    assert found is not None
    (head,) = found.heads(["a", "b", "c", "d"])
    session = equality.Session(found.cut(model, "rvc4"))
    images = [{"images": np.random.default_rng(seed).random((1, 3, SIDE, SIDE), np.float32)} for seed in range(2)]
    outputs = [session.run(image) for image in images]
    finished = archive(tmp_path / "m.tar.xz", head, outputs[0])
    original = Original(model, found.before)
    app = CameraApp(finished, cast(Prepared, Shown([head])), frozenset(), tmp_path / "app", current(), original)
    with app:
        for place, image in enumerate(images):
            app.add(f"image {place}", image, outputs[place], outputs[place])
        passport = app.told(Passport("rvc4", HeldOut("images")))
    (row,) = passport.parsers
    (masks,) = row.values
    assert passport.findings == ()
    assert row.found == row.boxes >= 8
    assert masks.right == masks.compared >= 4


def with_metadata(head: Mapping[str, Any], **metadata: object) -> dict[str, Any]:
    return {**head, "metadata": {**head["metadata"], **metadata}}


@pytest.mark.parametrize("head", [V5, V6, SCORES, READ], ids=["anchors", "distances", "classes", "text"])
def test_a_right_head_is_read_as_the_source_sees(head: dict[str, Any], tmp_path: Path) -> None:
    passport = told(tmp_path, head, head)
    (row,) = passport.parsers
    assert row.boxes >= 2
    assert row.found == row.boxes
    assert passport.findings == ()


@pytest.mark.parametrize(
    ("right", "written", "renamed", "code"),
    [
        (V5, with_metadata(V5, anchors=ANCHORS[::-1]), {}, "parser_misses"),
        (V6, with_metadata(V6, classes=CLASSES[::-1]), {}, "parser_names"),
        (V6, V6, {"output1_yolov6r2": "output3_yolov6r2", "output3_yolov6r2": "output1_yolov6r2"}, ""),
        (SCORES, with_metadata(SCORES, classes=["dog", "tree", "cat"]), {}, "parser_misses"),
        (V6, with_metadata(V6, n_classes=7), {}, "parser_crashes"),
        (V6, {**V6, "parser": "NobodysParser"}, {}, "parser_not_here"),
    ],
    ids=["anchors", "classes", "order of outputs", "a classifier's classes", "number of classes", "unknown parser"],
)
def test_a_wrong_head_is_a_finding(
    right: dict[str, Any], written: dict[str, Any], renamed: dict[str, str], code: str, tmp_path: Path
) -> None:
    """Each of them opened in depthai without a word, and an app would have seen nothing, or something else."""
    passport = told(tmp_path, right, written, renamed)
    found = [finding.code for finding in passport.findings]
    assert found == [code] if code else found, found
    assert found
