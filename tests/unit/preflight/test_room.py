"""Nothing is made of a size that no camera has room for: a model of some bytes is refused by name before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.errors import UnsupportedModel
from oakmill.findings import Severity
from oakmill.model.source import Tensor
from oakmill.preflight import room
from oakmill.preflight.check import Code, Preflight, require_room
from oakmill.spec import InputSpec

FEW, MANY, TWICE = np.array([2, 3]), np.array([1 << 20, 1 << 20]), np.array([1, 1, 1 << 20, 1 << 20], np.float32)


def model(nodes: Sequence[NodeProto], shape: Sequence[int | str] = (1, 3, 4, 4), **constants: object) -> ModelProto:
    """x and the largest of c, added."""
    graph = helper.make_graph(
        [*nodes, helper.make_node("ReduceMax", ["c"], ["m"], "largest", keepdims=0)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    graph.node.append(helper.make_node("Add", ["x", "m"], ["y"], "add"))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def node(op: str, *inputs: str) -> NodeProto:
    return helper.make_node(op, inputs, ["c"], "it")


HUGE = {
    "ConstantOfShape": model([node("ConstantOfShape", "s")], s=MANY),
    "Expand": model([node("Expand", "one", "s")], s=MANY, one=np.ones(1, np.float32)),
    "Tile": model([node("Tile", "one", "s")], s=np.array([1 << 40]), one=np.ones(1, np.float32)),
    "Range": model([node("Range", "a", "b", "d")], a=0.0, b=2.0**40, d=1.0),
    "a Range of whole numbers": model(
        [helper.make_node("Range", ["a", "b", "d"], ["r"], "it"), helper.make_node("Cast", ["r"], ["c"], "cast", to=1)],
        a=np.array(0), b=np.array(1 << 40), d=np.array(1),
    ),
    "Pad": model([node("Pad", "one", "s")], s=np.array([1 << 40, 0]), one=np.ones(1, np.float32)),
    "Resize": model([node("Resize", "x", "", "scales")], scales=TWICE),
    "OneHot": model([node("OneHot", "i", "n", "v")], i=np.array([1]), n=np.array(1 << 38), v=np.eye(2, dtype="f")[0]),
    "sparse": model([helper.make_node("Constant", [], ["c"], "it", sparse_value=helper.make_sparse_tensor(
        helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]), helper.make_tensor("i", TensorProto.INT64, [1], [5]),
        [1 << 40]))]),
}  # fmt: skip


@pytest.mark.parametrize("kind", HUGE)
def test_what_makes_terabytes_of_some_bytes_is_refused_by_name(kind: str) -> None:
    """They were folded: a MemoryError ended the conversion, or onnx wrote out a Range of 2^40 numbers until killed."""
    with pytest.raises(UnsupportedModel, match="numbers of it; no camera has room") as caught:
        require_room(HUGE[kind], ())
    assert caught.value.subject == "it"
    findings = Preflight(HUGE[kind]).report("rvc4").at(Severity.ERROR)
    assert next(item.subject for item in findings if item.code is Code.ROOM) == "it"


def test_a_sparse_initializer_is_refused_as_well() -> None:
    large = model([])
    values = helper.make_tensor("c", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("i", TensorProto.INT64, [1], [5])
    large.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [1 << 40]))
    with pytest.raises(UnsupportedModel, match="sparse constant is 1,099,511,627,776 numbers"):
        require_room(large, ())


@pytest.mark.parametrize("shape", [(1, 1 << 31), (1 << 62,), (1, 3, 1 << 31, 1 << 31)])
def test_an_input_of_any_format_is_refused(shape: tuple[int, ...]) -> None:
    """`check` refused it, and `convert` drew random numbers of that shape: a MemoryError and its traceback."""
    with pytest.raises(UnsupportedModel, match="no camera has room for them"):
        room.require_inputs([Tensor("x", shape, "float32")], ())
    with pytest.raises(UnsupportedModel, match="no camera has room for them"):
        require_room(model([node("ConstantOfShape", "s")], shape, s=FEW), ())


def test_a_shape_that_is_asked_for_counts() -> None:
    asked = [InputSpec(shape=(1, 3, 1 << 16, 1 << 16))]
    with pytest.raises(UnsupportedModel, match="1,3,65536,65536, which are 12,884,901,888 numbers"):
        room.require_inputs([Tensor("x", (1, 3, "h", "w"), "float32")], asked)


def test_what_there_is_room_for_passes() -> None:
    require_room(model([node("ConstantOfShape", "s")], s=FEW), ())
    room.require_inputs([Tensor("x", (1, 3, "h", None), "float32")], ())
