"""Tasks are chosen by what the archive declares, and by shapes only where they leave no doubt."""

from __future__ import annotations

from typing import Any

import pytest

from oakmill.conversion.passport import tasks_of
from oakmill.conversion.passport.classification import Classifier
from oakmill.conversion.passport.detection import Detector
from oakmill.conversion.passport.segmentation import Segmentation
from oakmill.conversion.passport.sequence import ScoredRows, Sequence
from oakmill.heads.decoders import Found, Pair, Rows, YoloGrid
from tests.unit.conversion.passport.building import Out

YOLO = {"classes": ["a", "b", "c"], "n_classes": 3, "conf_threshold": 0.4, "iou_threshold": 0.6}


def yolo(subtype: str = "yolov8", **more: Any) -> list[dict[str, Any]]:
    return [{"parser": "YOLO", "outputs": ["x", "y"], "metadata": {**YOLO, "subtype": subtype, **more}}]


def decoder_of(*outputs: Out, heads: list[dict[str, Any]] | None = None, size: tuple[int, int] = (64, 64)) -> Any:
    (task,) = tasks_of(outputs, heads, size)
    assert isinstance(task, Detector)
    return task.decoder


def test_declared_yolo_heads_with_their_thresholds() -> None:
    outputs = Out("x", (1, 8, 8, 8)), Out("y", (1, 8, 4, 4))
    (task,) = tasks_of(outputs, yolo(yolo_outputs=["x", "y"]), (64, 64))
    assert isinstance(task, Detector)
    assert task.decoder == YoloGrid(("x", "y"), "yolov8", 3, (64, 64))
    assert (task.confidence, task.iou, task.names, task.guessed) == (0.4, 0.6, ("a", "b", "c"), False)


def test_a_head_is_not_said_to_be_declared_by_an_archive_that_the_source_never_had() -> None:
    """Of a bare ONNX whose head was recognised, the passport said that the NN Archive declared it."""
    outputs = Out("x", (1, 8, 8, 8)), Out("y", (1, 8, 4, 4))
    (task,) = tasks_of(outputs, yolo(yolo_outputs=["x", "y"]), (64, 64))
    note = task.agreement().note
    assert "as its head in the NN Archive says" in note
    assert "declared" not in note


def test_anchors_make_more_channels() -> None:
    anchors = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    outputs = Out("x", (1, 16, 8, 8)), Out("y", (1, 16, 4, 4))
    found = decoder_of(*outputs, heads=yolo("yolov5", anchors=anchors))
    assert (found.subtype, found.anchors) == ("yolov5", tuple(anchors))


def test_heads_whose_shapes_do_not_fit_are_not_decoded() -> None:
    outputs = Out("x", (1, 9, 8, 8)), Out("y", (1, 9, 4, 4))
    assert tasks_of(outputs, yolo(), (64, 64)) == ()
    assert tasks_of(outputs, yolo(), None) == ()
    assert tasks_of((Out("other", (1, 9, 8, 8)),), yolo(), (64, 64)) == ()


def test_a_declared_detector_of_one_output_of_rows() -> None:
    heads = [{"parser": "YOLO", "metadata": YOLO, "outputs": None}]
    assert decoder_of(Out("x", (1, 84, 8)), heads=heads) == Rows("x", (64, 64), objectness=True)
    assert decoder_of(Out("x", (1, 7, 84)), heads=heads) == Rows("x", (64, 64), objectness=False, transposed=True)


def test_declared_ssd() -> None:
    assert decoder_of(Out("x", (1, 1, 100, 7)), heads=[{"parser": "SSD", "metadata": YOLO}]) == Found("x")
    pair = {**YOLO, "boxes_outputs": "b", "scores_outputs": "s"}
    outputs = Out("b", (1, 9, 4)), Out("s", (1, 9, 3))
    found = decoder_of(*outputs, heads=[{"parser": "SSDParser", "metadata": pair}])
    assert found == Pair("b", "s", (64, 64), background=False)


@pytest.mark.parametrize(
    ("parser", "shape", "kind"),
    [
        ("ClassificationParser", (1, 3), Classifier),
        ("SegmentationParser", (1, 3, 8, 8), Segmentation),
        ("ClassificationSequenceParser", (1, 8, 3), Sequence),
    ],
)
def test_other_declared_parsers(parser: str, shape: tuple[int, ...], kind: type[Any]) -> None:
    (task,) = tasks_of([Out("x", shape)], [{"parser": parser, "metadata": {"classes": ["a"], "is_softmax": True}}])
    assert isinstance(task, kind)
    assert not task.guessed


@pytest.mark.parametrize("parser", ["NobodysParser", "YuNetParser", "ClassificationParser"])
def test_a_parser_that_is_unknown_or_does_not_fit_falls_back_to_the_shapes(parser: str) -> None:
    assert tasks_of([Out("x", (1, 3, 8, 8))], [{"parser": parser, "metadata": {}}]) == ()


@pytest.mark.parametrize("shape", [(1, 10), (1, 10, 1, 1), (10,)])
def test_a_vector_is_taken_for_a_classifier(shape: tuple[int, ...]) -> None:
    (task,) = tasks_of([Out("x", shape)])
    assert isinstance(task, Classifier)
    assert task.guessed


def test_detectors_are_guessed_where_the_rows_are_the_grids_cells() -> None:
    cells = 64 + 16 + 4
    assert decoder_of(Out("x", (1, cells, 9))) == Rows("x", (64, 64), objectness=True)
    assert decoder_of(Out("x", (1, 9, cells))) == Rows("x", (64, 64), objectness=False, transposed=True)
    assert decoder_of(Out("b", (1, 400, 4)), Out("s", (1, 400, 2))) == Pair("b", "s", (64, 64))
    cut = decoder_of(Out("s", (1, 7, 400)), Out("b", (1, 4, 400)))
    assert cut == Pair("b", "s", (64, 64), transposed=True)


def test_rows_beside_the_prototypes_of_masks_have_their_coefficients_last() -> None:
    cells = 64 + 16 + 4
    found = decoder_of(Out("x", (1, 4 + 3 + 32, cells)), Out("masks", (1, 32, 16, 16)))
    assert found == Rows("x", (64, 64), objectness=False, transposed=True, classes=3)


@pytest.mark.parametrize(("key", "columns"), [("n_keypoints", 51), ("n_prototypes", 17)])
def test_declared_rows_with_keypoints_or_coefficients(key: str, columns: int) -> None:
    heads = [{"parser": "YOLO", "metadata": {**YOLO, key: 17}, "outputs": None}]
    found = decoder_of(Out("x", (1, 4 + 3 + columns, 84)), heads=heads)
    assert found == Rows("x", (64, 64), objectness=False, transposed=True, classes=3)


@pytest.mark.parametrize(
    "outputs",
    [
        [Out("x", (1, 3, 64, 64))],  # a picture, or masks
        [Out("x", (1, 9, 84)), Out("proto", (1, 32, 16, 16))],  # classes, or coefficients of masks
        [Out("a", (1, 4)), Out("x", (1, 200, 4))],
        [Out("x", (1, "n", 5))],
        [Out("x", ())],
    ],
)
def test_no_detector_is_guessed_where_shapes_leave_doubts(outputs: list[Out]) -> None:
    assert not any(isinstance(task, Detector) for task in tasks_of(outputs, None, (64, 64)))


@pytest.mark.parametrize(
    ("shape", "found"),
    [((1, 1, 64, 64), True), ((1, 16, 16, 3), True), ((1, 1, 8, 8), False), ((1, 300, 64, 64), False)],
)
def test_maps_that_may_be_masks_are_looked_at(shape: tuple[int, ...], found: bool) -> None:
    assert [type(task) for task in tasks_of([Out("x", shape)], None, (64, 64))] == [Segmentation] * found


def test_sequences_and_scored_rows_are_guessed() -> None:
    assert isinstance(tasks_of([Out("x", (1, 21, 78))])[0], Sequence)
    assert isinstance(tasks_of([Out("x", (21, 1, 78))])[0], Sequence)
    outputs = [Out("cls", (1, 6400, 1)), Out("kps", (1, 6400, 10)), Out("obj", (1, 6400, 3))]
    assert [type(task) for task in tasks_of(outputs)] == [ScoredRows] * 3


def test_keypoints_of_a_declared_head_are_no_text() -> None:
    """Outputs of a pose head, 12 numbers for each of many cells, were measured as text of 64 letters besides."""
    heads = yolo(yolo_outputs=["x", "y"], keypoints_outputs=["k1", "k2"])
    heads[0]["outputs"] = ["x", "y", "k1", "k2"]
    points = Out("k1", (1, 12, 64)), Out("k2", (1, 12, 16))
    assert isinstance(decoder_of(Out("x", (1, 8, 8, 8)), Out("y", (1, 8, 4, 4)), *points, heads=heads), YoloGrid)


@pytest.mark.parametrize(
    ("shape", "metadata", "size", "axis"),
    [
        ((1, 21, 16, 16), {"n_classes": 21}, None, 1),
        ((1, 21, 16, 16), {"n_classes": 20}, None, 1),  # and one that is none of them
        ((1, 16, 21, 16), {"n_classes": 16, "classes": []}, (21, 16), 1),
        ((1, 8, 16, 21), {"classes": [str(i) for i in range(21)]}, None, 3),
        ((1, 21, 16, 16), {}, (512, 512), 1),
        ((1, 16, 16, 21), {}, (512, 512), 3),
        ((1, 12, 16, 150), {}, (96, 128), 3),
        ((1, 3, 16, 16), {}, None, 1),
        ((1, 16, 16, 3), {}, None, 3),
    ],
)
def test_a_declared_map_has_its_classes_where_the_head_or_the_image_says(
    shape: tuple[int, ...], metadata: dict[str, object], size: tuple[int, int] | None, axis: int
) -> None:
    """21 classes on 16 x 16 cells, without names: the shorter axis was taken, and columns of pixels compared."""
    head = {"parser": "SegmentationParser", "metadata": metadata, "outputs": ["x"]}
    (task,) = tasks_of([Out("x", shape)], [head], size)
    assert isinstance(task, Segmentation)
    assert task.axis == axis
