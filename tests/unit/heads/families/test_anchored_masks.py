from __future__ import annotations

import numpy as np
import onnx
import pytest
from luxonis_ml.nn_archive.config_building_blocks.base_models.head_metadata import HeadYOLOMetadata
from onnx import ModelProto

from oakmill.graph import equality
from oakmill.heads.families import anchored
from oakmill.heads.families.anchored_masks import AnchoredMasks
from oakmill.heads.families.base import Evidence
from tests.unit.heads.families.graphs import SIDE, STRIDES, Builder, cells
from tests.unit.heads.families.test_anchored import ANCHORS, CLASSES, CLOSE

MASKS = 6
EVIDENCE = Evidence({}, (SIDE, SIDE))


def export(opset: int = 13, *, open_protos: bool = False) -> ModelProto:
    """As YOLO v5's repository exports its nets of segment/: a grid is split before the Sigmoids, of which the
    coefficients have none; the prototypes are a second output."""
    made, width = Builder(opset), 5 + CLASSES + MASKS
    rows = []
    for place, stride in enumerate(STRIDES):
        side, name = SIDE // stride, f"grid{place}"
        made.convolution(place, f"{name}/conv", 3 * width)
        shape = made.constant(f"{name}/shape", [1, 3, width, side, side], "int64")
        made.add("Reshape", [f"{name}/conv", shape], f"{name}/five")
        made.add("Transpose", [f"{name}/five"], f"{name}/turned", perm=[0, 1, 3, 4, 2])
        parts = [f"{name}/{word}" for word in ("xy", "wh", "conf", "mask")]
        made.split(f"{name}/turned", [2, 2, 1 + CLASSES, MASKS], parts, 4)
        for part in parts[:3]:
            made.add("Sigmoid", [part], f"{part}/sigmoid")
        two = made.constant(f"{name}/two", 2.0)
        made.add("Mul", [f"{parts[0]}/sigmoid", two], f"{name}/twice")
        made.add("Add", [f"{name}/twice", made.constant(f"{name}/cells", cells(stride) - 0.5)], f"{name}/placed")
        made.add("Mul", [f"{name}/placed", made.constant(f"{name}/stride", float(stride))], f"{name}/middle")
        made.add("Mul", [f"{parts[1]}/sigmoid", two], f"{name}/double")
        made.add("Pow", [f"{name}/double", two], f"{name}/squared")
        pairs = np.array(ANCHORS, np.float32)[place].reshape(1, 3, 1, 1, 2)
        made.add("Mul", [f"{name}/squared", made.constant(f"{name}/anchors", pairs)], f"{name}/size")
        pieces = [f"{name}/middle", f"{name}/size", f"{parts[2]}/sigmoid", parts[3]]
        joined = made.add("Concat", pieces, f"{name}/joined", axis=4)
        flat = made.constant(f"{name}/flat", [1, 3 * side * side, width], "int64")
        rows.append(made.add("Reshape", [joined, flat], f"{name}/row"))
    made.add("Concat", rows, "output", axis=1)
    weight = made.constant("protos/weight", np.random.default_rng(3).normal(size=[MASKS, 3, 4, 4]))
    made.add("Conv", ["images", weight], "protos/conv", strides=[4, 4])
    made.add("Sigmoid", ["protos/conv"], "protos/sigmoid")
    made.add("Mul", ["protos/conv", "protos/sigmoid"], "protos")
    count = 3 * sum((SIDE // stride) ** 2 for stride in STRIDES)
    return made.model([1, count, width], {"protos": [1, 0 if open_protos else MASKS, SIDE // 4, SIDE // 4]})


@pytest.mark.parametrize("opset", [13, 18])
def test_masks_beside_anchors_get_a_map_for_each_anchor(opset: int) -> None:
    """Exports of YOLO v5's own nets with masks kept rows that no parser reads, and 32 coefficients were taken for
    classes."""
    model = export(opset)
    found = anchored.find(model, EVIDENCE)
    assert isinstance(found, AnchoredMasks)
    assert (found.classes, found.masks, found.words) == (
        CLASSES,
        MASKS,
        f"a YOLO detector with masks of {CLASSES} classes",
    )
    ended = found.cut(model, "rvc2")
    onnx.checker.check_model(ended)
    image = {"images": np.random.default_rng(1).random([1, 3, SIDE, SIDE], dtype=np.float32)}
    assert found.apart(equality.run(model, image), equality.run(ended, image)) < CLOSE
    (head,) = found.heads(("a", "b", "c", "d"))
    metadata = head["metadata"]
    assert metadata["yolo_outputs"] == [f"output{at:02d}_yolov8" for at in range(1, 10)]
    assert metadata["strides"] == [8, 8, 8, 16, 16, 16, 32, 32, 32]
    assert (head["parser"], metadata["n_prototypes"], metadata["anchors"]) == ("YOLOExtendedParser", MASKS, None)
    HeadYOLOMetadata.model_validate(metadata)


def test_coefficients_of_another_box_are_seen() -> None:
    """The proof has to compare them: of two anchors that change places boxes alone would tell only if they differ."""
    model = export()
    found = anchored.find(model, EVIDENCE)
    assert isinstance(found, AnchoredMasks)
    image = {"images": np.random.default_rng(1).random([1, 3, SIDE, SIDE], dtype=np.float32)}
    before, after = equality.run(model, image), dict(equality.run(found.cut(model, "rvc2"), image))
    first, second = found.coefficients[:2]
    after[first], after[second] = after[second], after[first]
    assert found.apart(before, after) > 0.1


def test_coefficients_of_as_many_prototypes_as_nobody_says_are_no_classes() -> None:
    assert anchored.find(export(open_protos=True), EVIDENCE) is None
