from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from oakmill.graph import equality
from oakmill.heads.decoders import Rows, YoloGrid
from oakmill.heads.families import dfl
from tests.unit.heads.families.exports import BINS, Export


@pytest.mark.parametrize("joined", [True, False], ids=["split after the grids", "apart from the start"])
@pytest.mark.parametrize("opset", [12, 13, 18])
def test_the_same_boxes_are_found_before_and_after_the_cut(opset: int, joined: bool) -> None:
    """A plain export came out with an archive that no parser of the camera could read."""
    model = Export(opset=opset, joined=joined).model()
    detector = dfl.find(model)
    assert detector is not None
    assert (detector.bins, detector.classes, len(detector.grids)) == (BINS, 3, 3)
    ended = dfl.cut(model, detector)
    onnx.checker.check_model(ended)
    image = {"images": np.random.default_rng(1).random([1, 3, 64, 64], dtype=np.float32)}
    wanted = Rows("output0", (64, 64), objectness=False, transposed=True, form="pixels").decode(
        equality.run(model, image)
    )
    outputs = equality.run(ended, image)
    found = YoloGrid(detector.ends, "yolov8", 3, (64, 64)).decode(outputs)
    assert np.allclose(wanted.corners, found.corners, atol=1e-6)
    assert np.allclose(wanted.scores, found.scores, atol=1e-6)
    assert wanted.scores.max() - wanted.scores.min() > 0.2
    for name in detector.ends:
        assert np.allclose(outputs[name][:, 4], outputs[name][:, 5:].max(axis=1))


def test_what_nothing_needs_any_more_goes() -> None:
    model = Export().model()
    detector = dfl.find(model)
    assert detector is not None
    ended = dfl.cut(model, detector)
    assert not {"MatMul", "Mul", "Reshape"} & {node.op_type for node in ended.graph.node}
    assert "mix" not in {tensor.name for tensor in ended.graph.initializer}
    assert [value.name for value in model.graph.output] == ["output0"]


def _weighed_otherwise(model: onnx.ModelProto) -> None:
    ramp = next(tensor for tensor in model.graph.initializer if tensor.name == "ramp")
    ramp.CopyFrom(onnx.numpy_helper.from_array(np.ones([1, BINS, 1, 1], "f"), "ramp"))


def _with_another_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, None))


def _without_sigmoid(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "Sigmoid").op_type = "Relu"


@pytest.mark.parametrize("change", [_weighed_otherwise, _with_another_output, _without_sigmoid])
def test_what_is_not_certain_is_not_recognised(change: object) -> None:
    model = Export().model()
    change(model)  # type: ignore[operator]
    assert dfl.find(model) is None


def test_a_classifier_is_no_detector() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 8])],
    )
    assert dfl.find(helper.make_model(graph)) is None
