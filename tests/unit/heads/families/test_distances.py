from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from luxonis_ml.nn_archive.config_building_blocks.base_models.head_metadata import HeadYOLOMetadata
from onnx import ModelProto, helper

from oakmill.graph import equality
from oakmill.heads.families import distances
from oakmill.heads.families.base import NOTHING, Evidence
from oakmill.heads.families.distances import Distances
from tests.unit.heads.families.exports import BINS, Export

CLOSE = 1e-5


def found_in(model: ModelProto, side: int = 64, *, silent: bool = False) -> Distances:
    said = {} if silent else {item.key: item.value for item in model.metadata_props}
    found = distances.find(model, Evidence(said, (side, side)))
    assert found is not None
    return found


def apart(model: ModelProto, found: Distances, ended: ModelProto) -> float:
    onnx.checker.check_model(ended)
    image = {"images": np.random.default_rng(1).random([1, 3, *found.size], dtype=np.float32)}
    return found.apart(equality.run(model, image), equality.run(ended, image))


@pytest.mark.parametrize("joined", [True, False], ids=["split after the grids", "apart from the start"])
@pytest.mark.parametrize("opset", [12, 13, 18])
def test_the_same_boxes_are_found_before_and_after_the_cut(opset: int, joined: bool) -> None:
    """A plain export came out with an archive that no parser of the camera could read."""
    model = Export(opset=opset, joined=joined).model()
    found = found_in(model)
    assert (found.bins, found.classes, len(found.grids), found.task) == (BINS, 3, 3, "detect")
    ended = found.cut(model, "rvc2")
    assert apart(model, found, ended) < CLOSE
    image = {"images": np.random.default_rng(1).random([1, 3, 64, 64], dtype=np.float32)}
    for values in equality.run(ended, image).values():
        assert np.allclose(values[:, 4], values[:, 5:].max(axis=1))


ENDS = {
    "segment": ["output1_masks", "output2_masks", "output3_masks", "protos_output"],
    "pose": ["kpt_output1", "kpt_output2", "kpt_output3"],
    "obb": ["angle_output"],
}


@pytest.mark.parametrize("form", [{}, {"joined": False}, {"bins": 1, "joined": False}], ids=["old", "new", "v26"])
@pytest.mark.parametrize("task", ["segment", "pose", "obb"])
def test_each_task_is_cut_where_its_parser_reads(task: str, form: dict[str, Any]) -> None:
    """Masks, keypoints and turned boxes of the same exporter kept their outputs, which no parser reads."""
    model = Export(task=task, opset=17, **form).model()
    found = found_in(model)
    ended = found.cut(model, "rvc2")
    assert apart(model, found, ended) < CLOSE
    names = [value.name for value in ended.graph.output]
    assert names == [f"output{place}_yolov8" for place in (1, 2, 3)] + ENDS[task]
    (head,) = found.heads(("a", "b", "c"))
    assert head["outputs"] == names
    HeadYOLOMetadata.model_validate(head["metadata"])
    assert not {"Sin", "Cos"} & {node.op_type for node in ended.graph.node}


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
@pytest.mark.parametrize("bins", [1, BINS])
def test_the_best_boxes_that_an_export_chooses_are_among_the_cameras(task: str, bins: int) -> None:
    """v10 and v26 end with the best 300 boxes: TopK does not run on the devices, and no parser reads their rows."""
    model = Export(task=task, opset=17, joined=False, bins=bins, chosen=True).model()
    found = found_in(model)
    ended = found.cut(model, "rvc4")
    assert apart(model, found, ended) < CLOSE
    assert "TopK" not in {node.op_type for node in ended.graph.node}


def test_a_better_box_that_the_export_did_not_choose_is_told() -> None:
    model = Export(opset=17, joined=False, chosen=True).model()
    found = found_in(model)
    ended = found.cut(model, "rvc4")
    image = {"images": np.random.default_rng(1).random([1, 3, 64, 64], dtype=np.float32)}
    before, after = equality.run(model, image), equality.run(ended, image)
    rows = before["output0"].copy()
    rows[0, 3] = rows[0, 4]
    assert found.apart({"output0": rows}, after) > CLOSE
    rows = before["output0"].copy()
    rows[0, 0, 5] = 7
    assert found.apart({"output0": rows}, after) == np.inf


@pytest.mark.parametrize("bins", [1, 17])
def test_yolov6_joins_boxes_an_objectness_of_one_and_scores_to_rows(bins: int) -> None:
    model = Export(opset=13, joined=False, bins=bins, rows=True).model(author="")
    found = found_in(model)
    assert apart(model, found, found.cut(model, "rvc2")) < CLOSE


@pytest.mark.parametrize("strides", [(8, 16, 32, 64), (4, 8, 16, 32), (16, 32)])
def test_other_strides_are_told_as_the_graph_has_them(strides: tuple[int, ...]) -> None:
    """The strides were those of the exporter's notes alone; another writer's, or one that says 32 of all, was wrong."""
    model = Export(strides=strides, side=64).model()
    found = found_in(model, silent=True)
    (head,) = found.heads(("a", "b", "c"))
    assert head["metadata"]["strides"] == [*strides]
    assert apart(model, found, found.cut(model, "rvc2")) < CLOSE


def test_keypoints_without_visibility_are_all_seen() -> None:
    """The parser reads three numbers of a keypoint; of two, it took every third x or y for a visibility."""
    model = Export(task="pose", dims=2).model()
    found = found_in(model)
    ended = found.cut(model, "rvc2")
    assert apart(model, found, ended) < CLOSE
    image = {"images": np.random.default_rng(1).random([1, 3, 64, 64], dtype=np.float32)}
    points = equality.run(ended, image)["kpt_output1"]
    assert points.shape == (1, 12, 64)
    assert (points[:, 2::3] > 5).all()


def test_as_many_classes_as_bins_of_all_sides_are_told_apart() -> None:
    for joined in (True, False):
        model = Export(classes=4 * BINS, joined=joined).model()
        found = found_in(model)
        assert apart(model, found, found.cut(model, "rvc2")) < CLOSE


def test_what_nothing_needs_any_more_goes() -> None:
    model = Export().model()
    ended = found_in(model).cut(model, "rvc2")
    assert not {"MatMul", "Mul", "Reshape"} & {node.op_type for node in ended.graph.node}
    assert "mix" not in {tensor.name for tensor in ended.graph.initializer}
    assert [value.name for value in model.graph.output] == ["output0"]


def _weighed_otherwise(model: ModelProto) -> None:
    ramp = next(tensor for tensor in model.graph.initializer if tensor.name == "ramp")
    ramp.CopyFrom(onnx.numpy_helper.from_array(np.ones([1, BINS, 1, 1], "f"), "ramp"))


def _with_another_output(model: ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [1, 3, 84]))


def _without_sigmoid(model: ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "Sigmoid").op_type = "Relu"


@pytest.mark.parametrize("change", [_weighed_otherwise, _with_another_output, _without_sigmoid])
def test_what_has_another_form_is_not_recognised(change: Callable[[ModelProto], None]) -> None:
    model = Export().model()
    change(model)
    assert distances.find(model, NOTHING) is None


@pytest.mark.parametrize("shape", ["[5, 3]", "[4, 4]", "[4", "{}", "['a', 'b']"])
def test_keypoints_that_do_not_fit_the_network_are_none(shape: str) -> None:
    model = Export(task="pose").model(kpt_shape=shape)
    found = distances.find(model, Evidence({item.key: item.value for item in model.metadata_props}, (64, 64)))
    fits = found is not None and found.extra["n_keypoints"] == 4
    assert fits == (shape in ("[4", "{}", "['a', 'b']"))  # no literal of two numbers: as most have them, three of each


def test_a_classifier_is_no_detector() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 8])],
    )
    assert distances.find(helper.make_model(graph), NOTHING) is None


def test_turned_boxes_are_not_compared_with_the_upright_ones_that_depthai_shows() -> None:
    """depthai 3.12's built-in parser reads no angles: it would have been said to miss all turned boxes."""
    model = Export(task="obb").model()
    outputs = equality.run(model, {"images": np.zeros([1, 3, 64, 64], np.float32)})
    assert set(found_in(model).before(outputs)) == {"scores"}
    plain = Export().model()
    outputs = equality.run(plain, {"images": np.zeros([1, 3, 64, 64], np.float32)})
    assert set(found_in(plain).before(outputs)) == {"corners", "scores"}


def test_names_count_whoever_wrote_them() -> None:
    """The repository of YOLO v5 notes names and stride, and no author: its classes were numbered."""
    found = found_in(Export().model(author="", names="{0: 'a, b', 1: 'ä', 2: 'c'}"))
    assert found.names == ("a, b", "ä", "c")


def test_ten_thousand_classes_are_as_good_as_three() -> None:
    model = Export(classes=10_000).model()
    found = found_in(model)
    assert apart(model, found, found.cut(model, "rvc2")) < CLOSE
    assert len(found.names) == 10_000


def in_parts(model: ModelProto, task: str) -> ModelProto:
    """As LiteRT's exporter ends a network: boxes and keypoints by the image's size, slice by slice, joined anew."""
    graph, points = model.graph, 4 if task == "pose" else 0
    for node in graph.node:
        node.output[:] = ["in pixels of all" if name == "output0" else name for name in node.output]
    others = {"pose": 12, "segment": 5, "obb": 1}.get(task, 0)
    scale = np.ones((1, 4 + 3 + others, 1), np.float32)
    scale[0, :4] = 64
    scale[0, 7 : 7 + 3 * points].reshape(-1, 3)[:, :2] = 64
    parts = []
    for first, last in ((0, 4), (4, 7), (7, 7 + others)):
        if last == first:
            continue
        words = []
        for word, value in (("from", first), ("to", last), ("axis", 1)):
            words.append(f"{word}/{first}")
            graph.initializer.append(onnx.numpy_helper.from_array(np.array([value], np.int64), words[-1]))
        graph.initializer.append(onnx.numpy_helper.from_array(scale[:, first:last], f"by/{first}"))
        graph.node.append(helper.make_node("Slice", ["in pixels of all", *words], [f"slice/{first}"]))
        graph.node.append(helper.make_node("Div", [f"slice/{first}", f"by/{first}"], [f"part/{first}"]))
        parts.append(f"part/{first}")
    graph.node.append(helper.make_node("Concat", parts, ["output0"], axis=1))
    return model


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
def test_boxes_in_parts_of_the_image_are_those_in_pixels(task: str) -> None:
    """Exports for TFLite give boxes and keypoints in parts of the image: they kept their outputs."""
    model = in_parts(Export(task=task, opset=17, joined=False).model(), task)
    found = found_in(model)
    assert apart(model, found, found.cut(model, "rvc2")) < CLOSE
